use super::*;

const NGINX: &str = "<html>\r\n<head><title>Index of /d/</title></head>\r\n<body>\r\n\
<h1>Index of /d/</h1><hr><pre><a href=\"../\">../</a>\r\n\
<a href=\"sub/\">sub/</a>                                21-Nov-2026 23:10                   -\r\n\
<a href=\"a%20b.txt\">a b.txt</a>                        21-Nov-2026 23:10                1234\r\n\
<a href=\"long.bin\">long-name-that-is-cut..&gt;</a>     20-Nov-2026 08:00          5000000000\r\n\
</pre><hr></body>\r\n</html>\r\n";

const APACHE_TABLE: &str = r#"<!DOCTYPE HTML PUBLIC "-//W3C//DTD HTML 3.2 Final//EN">
<html><head><title>Index of /d</title><style>a { content: "<a href='evil'>" }</style></head><body>
<table><tr><th><a href="?C=N;O=D">Name</a></th><th><a href="?C=M;O=A">Last modified</a></th></tr>
<tr><td valign="top"><img src="/icons/back.gif" alt="[PARENTDIR]"></td><td><a href="/">Parent Directory</a></td><td>&nbsp;</td><td align="right">  - </td></tr>
<!-- <a href="hidden">hidden</a> 2026-11-21 23:10 1 -->
<tr><td><a href="sub/"><img src="/icons/folder.gif"></a></td><td><a href="sub/">sub/</a></td><td align="right">2026-11-21 23:10  </td><td align="right">  - </td><td>&nbsp;</td></tr>
<tr><td><a href="a%26b.tar"><img></a></td><td><a href="a%26b.tar">a&amp;b.tar</a></td><td align="right">2026-11-21 23:10  </td><td align="right">1.2K</td><td>&nbsp;</td></tr>
<tr><td></td><td><a href="tiny">tiny</a></td><td align="right">2026-11-21 23:10  </td><td align="right">512 </td></tr>
</table><address>Apache at <a href="mailto:x@y">x</a> <a href="http://elsewhere/d/z">z</a></address></body></html>"#;

const APACHE_PRE: &str = r#"<pre><img src="/icons/blank.gif" alt="Icon "> <a href="?C=N;O=D">Name</a> <a href="?C=M;O=A">Last modified</a><hr><img src="/icons/back.gif" alt="[DIR]"> <a href="/d/..">Parent Directory</a>                             -
<img src="/icons/folder.gif" alt="[DIR]"> <a href="sub/">sub/</a>                    2026-11-21 23:10    -
<img src="/icons/text.gif" alt="[TXT]"> <a href="/d/x">x</a>                       2026-11-21 23:10  1.5M  a description of 2020-01-01 10:00 7
<hr></pre>"#;

fn parse(text: &str, step: usize) -> Vec<Link> {
    let url = Url::parse("http://host/d/").unwrap();
    let mut page = Page { format: Format::Html(Html::default()), bytes: 0, seen: HashSet::new() };
    let mut links = Vec::new();
    for piece in text.as_bytes().chunks(step) {
        links.extend(page.push(piece, &url).unwrap());
    }
    links.extend(page.finish(&url).unwrap());
    links
}

fn link(name: &str, folder: bool, size: Size, modified: i64) -> Link {
    Link { name: name.into(), folder, size, modified: Some(modified) }
}

const MINUTE: i64 = 1_795_302_600;

#[test]
fn pages_of_all_kinds_are_read_however_they_arrive() {
    for step in [1, 2, 3, 7, 64, 100_000] {
        let expected = [
            link("sub", true, Size::Unknown, MINUTE),
            link("a b.txt", false, Size::Exact(1234), MINUTE),
            link("long.bin", false, Size::Exact(5_000_000_000), MINUTE - 86_400 - 54_600),
        ];
        assert_eq!(parse(NGINX, step), expected, "nginx by {step}");
        let expected = [
            link("sub", true, Size::Unknown, MINUTE),
            link("a&b.tar", false, Size::About(1228), MINUTE),
            link("tiny", false, Size::Exact(512), MINUTE),
        ];
        assert_eq!(parse(APACHE_TABLE, step), expected, "table by {step}");
        let expected = [
            link("sub", true, Size::Unknown, MINUTE),
            link("x", false, Size::About(3 << 19), MINUTE),
        ];
        assert_eq!(parse(APACHE_PRE, step), expected, "pre by {step}");
    }
}

#[test]
fn only_what_is_directly_below_counts() {
    let page = Url::parse("http://host/d/index.html").unwrap();
    let name = |href| child(&page, href);
    assert_eq!(name("x"), Some(("x".into(), false)));
    assert_eq!(name("./x%2By/"), Some(("x+y".into(), true)));
    assert_eq!(name("/d/x"), Some(("x".into(), false)));
    assert_eq!(name("http://host/d/x"), Some(("x".into(), false)));
    for href in [
        "",
        "..",
        "../",
        "/",
        "/d/",
        "/e/x",
        "x/y",
        "x?q",
        "x#a",
        "?C=N",
        "#a",
        "//other/d/x",
        "mailto:x",
        "x%2fy",
        "%ff",
        "%00",
    ] {
        assert_eq!(name(href), None, "{href}");
    }
}

#[test]
fn what_is_linked_twice_is_there_once() {
    let found = parse("<a href=x>x</a> 2026-11-21 23:10 7 <a href=y>y</a> <a href=x>again</a>", 5);
    assert_eq!(found.iter().map(|link| link.name.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(found[0].size, Size::Exact(7));
}

#[test]
fn nginx_can_send_json() {
    let url = Url::parse("http://host/d/").unwrap();
    let text = r#"[ { "name":"s", "type":"directory", "mtime":"Sat, 21 Nov 2026 23:10:00 GMT" },
        { "name":"f", "type":"file", "mtime":"Sat, 21 Nov 2026 23:10:00 GMT", "size":7 },
        { "name":"..", "type":"directory" } ]"#;
    let found = json(text.as_bytes(), &url).unwrap();
    let expected =
        [link("s", true, Size::Unknown, MINUTE), link("f", false, Size::Exact(7), MINUTE)];
    assert_eq!(found, expected);
    assert!(json(b"{}", &url).is_err());
}

proptest::proptest! {
    #[test]
    fn no_page_makes_it_panic(text in "(<a href=|\"|'|>|<|&#x|;|</a>|<!--|-->|<script|[a-z0-9 :-]|é){0,60}", step in 1usize..9) {
        parse(&text, step);
    }
}
