//! Just enough of HTML: links, and the text behind each.

use crate::core::error::{Result, resource_exhausted};

/// Bytes of a tag or a word of text that is not whole yet; more is no index page.
const LONGEST_TAG: usize = 64 << 10;
/// Bytes of text behind a link that are kept.
const DETAILS: usize = 512;

/// A page being taken apart.
#[derive(Debug, Default)]
pub struct Html {
    /// What is not taken apart yet.
    rest: Vec<u8>,
    /// The link that text now belongs to.
    open: Option<(String, String)>,
    /// Whether its own text is not over yet.
    inside: bool,
    /// The end of an element whose content is no HTML.
    skip_to: Option<&'static str>,
    found: Vec<(String, String)>,
}

impl Html {
    /// Takes the next bytes.
    ///
    /// # Errors
    /// `ResourceExhausted` for a tag without an end.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.rest.extend_from_slice(bytes);
        let rest = std::mem::take(&mut self.rest);
        let mut at = 0;
        while let Some(length) = self.step(&rest[at..]) {
            at += length;
        }
        self.rest = rest[at..].to_vec();
        if self.rest.len() > LONGEST_TAG {
            return Err(resource_exhausted("a tag without an end: that is no index page"));
        }
        Ok(())
    }

    /// Takes what is left as the end of the page.
    pub fn finish(&mut self) {
        let rest = std::mem::take(&mut self.rest);
        if !rest.starts_with(b"<") {
            self.text(&rest);
        }
        self.close();
    }

    /// The links that are whole, each with the text behind it.
    pub fn take(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.found)
    }

    /// Takes one run of text or one tag; tells how long it was, or nothing if it is not whole.
    fn step(&mut self, rest: &[u8]) -> Option<usize> {
        if let Some(end) = self.skip_to {
            let Some(at) = find(rest, end) else {
                // Keep what may be the beginning of the end.
                let gone = rest.len().saturating_sub(end.len());
                return (gone > 0).then_some(gone);
            };
            self.skip_to = None;
            return Some(at + end.len());
        }
        match rest.iter().position(|byte| *byte == b'<') {
            Some(0) => self.tag(rest),
            Some(length) => {
                self.text(&rest[..length]);
                Some(length)
            }
            // Text may break anywhere but in a word: the last one waits for its end.
            None => {
                let length = rest.iter().rposition(u8::is_ascii_whitespace)? + 1;
                self.text(&rest[..length]);
                Some(length)
            }
        }
    }

    fn tag(&mut self, rest: &[u8]) -> Option<usize> {
        if rest.starts_with(b"<!--") {
            self.skip_to = Some("-->");
            return Some(4);
        }
        if rest.len() < 4 && b"<!--".starts_with(rest) {
            return None;
        }
        let length = tag_length(rest)?;
        let tag = String::from_utf8_lossy(&rest[1..length - 1]);
        let name = tag.split(|c: char| c.is_ascii_whitespace()).next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "a" => {
                let href = attribute(&tag, "href");
                if href.is_none() || self.open.as_ref().map(|(href, _)| href) != href.as_ref() {
                    self.close();
                }
                self.open = href.map(|href| (href, String::new()));
                self.inside = true;
            }
            "/a" => self.inside = false,
            "/tr" | "/li" => self.close(),
            "script" => self.skip_to = Some("</script"),
            "style" => self.skip_to = Some("</style"),
            _ => self.text(b" "),
        }
        Some(length)
    }

    fn text(&mut self, text: &[u8]) {
        if let Some((_, details)) = self.open.as_mut().filter(|_| !self.inside) {
            let room = DETAILS.saturating_sub(details.len()).min(text.len());
            details.push_str(&decode(&String::from_utf8_lossy(&text[..room])));
        }
    }

    fn close(&mut self) {
        self.found.extend(self.open.take());
        self.inside = false;
    }
}

/// The length of the tag that text begins with: up to a `>` that is not in quotes.
fn tag_length(text: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at + 1),
            // A quote counts only where a value begins: `it's` is a word.
            (None, b'"' | b'\'') if text[..at].ends_with(b"=") => quote = Some(*byte),
            (Some(open), byte) if open == *byte => quote = None,
            _ => {}
        }
    }
    None
}

/// The decoded value of an attribute.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let lower = tag.to_ascii_lowercase();
    let mut from = 0;
    loop {
        let at = from + lower[from..].find(name)?;
        from = at + name.len();
        let before = lower.as_bytes().get(at.wrapping_sub(1)).copied().unwrap_or(b' ');
        let Some(value) = tag[from..].trim_start().strip_prefix('=') else { continue };
        if !before.is_ascii_whitespace() && !matches!(before, b'"' | b'\'') {
            continue;
        }
        let value = value.trim_start();
        let value = match value.chars().next()? {
            quote @ ('"' | '\'') => value[1..].split(quote).next()?,
            _ => value.split(|c: char| c.is_ascii_whitespace()).next()?,
        };
        return Some(decode(value));
    }
}

/// Text with its entities replaced by what they stand for.
fn decode(text: &str) -> String {
    let mut decoded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('&') {
        decoded.push_str(&rest[..at]);
        rest = &rest[at..];
        let entity = rest.find(';').filter(|end| *end <= 10).map(|end| &rest[1..end]);
        match entity.and_then(character) {
            Some(character) => {
                decoded.push(character);
                rest = &rest[entity.map_or(0, str::len) + 2..];
            }
            None => {
                decoded.push('&');
                rest = &rest[1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded
}

fn character(entity: &str) -> Option<char> {
    match entity {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some(' '),
        _ => {
            let number = entity.strip_prefix('#')?;
            let code = match number.strip_prefix(['x', 'X']) {
                Some(hex) => u32::from_str_radix(hex, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)
        }
    }
}

fn find(text: &[u8], end: &str) -> Option<usize> {
    text.windows(end.len()).position(|window| window.eq_ignore_ascii_case(end.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entities_stand_for_characters() {
        assert_eq!(
            decode("a&amp;b &lt;&#39;&#x4e2d;&nbsp;&bogus; & &#xffffffff;"),
            "a&b <'中 &bogus; & &#xffffffff;"
        );
    }

    #[test]
    fn attributes_are_found_whichever_way_they_are_written() {
        for tag in ["a href=\"x y\" title='z'", "a title='href' href='x y'", "A\nHREF = \"x y\""] {
            assert_eq!(attribute(tag, "href").as_deref(), Some("x y"), "{tag}");
        }
        assert_eq!(attribute("a href=x", "href").as_deref(), Some("x"));
        assert_eq!(attribute("a data-href=\"x\"", "href"), None);
        assert_eq!(attribute("a name=x", "href"), None);
    }
}
