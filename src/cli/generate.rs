//! `goosefs generate`: man pages and completions from the one declaration of commands and settings.

use super::Cli;
use crate::core::config::all_settings;
use crate::core::error::{Context, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Write man pages and completions
#[derive(clap::Args, Debug)]
pub struct Generate {
    /// Directory in which man/ and completions/ are written
    #[arg(default_value = ".")]
    root: PathBuf,
}

impl Generate {
    /// Writes `man/` and `completions/` below the root.
    pub fn run(self) -> Result<ExitCode> {
        let (man, completions) = (self.root.join("man"), self.root.join("completions"));
        for dir in [&man, &completions] {
            std::fs::create_dir_all(dir).with_context(|| format!("creating {}", dir.display()))?;
        }
        let mut command = Cli::command();
        command.build();
        write_pages(&command, &man)?;
        write(&man.join("goosefs.yaml.5"), settings_page().as_bytes())?;
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            clap_complete::generate_to(shell, &mut Cli::command(), "goosefs", &completions)
                .context("writing completions")?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// One page for `command` and one for each command below it.
fn write_pages(command: &clap::Command, dir: &Path) -> Result<()> {
    // The full name, as in `goosefs-fs-ls`, set by `Command::build`.
    let name = command.get_display_name().unwrap_or(command.get_name()).to_string();
    let mut page = Vec::new();
    let source = format!("goosefs {}", env!("CARGO_PKG_VERSION"));
    clap_mangen::Man::new(command.clone())
        .title(name.to_uppercase())
        .source(source)
        .manual("goosefs")
        .render(&mut page)
        .context("rendering a man page")?;
    write(&dir.join(format!("{name}.1")), &page)?;
    for sub in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        write_pages(sub, dir)?;
    }
    Ok(())
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(path, bytes).with_context(|| format!("writing {}", path.display()))
}

/// goosefs.yaml(5): every setting with its type, default and meaning.
fn settings_page() -> String {
    let mut page = format!(
        ".TH GOOSEFS.YAML 5 \"\" \"goosefs {}\" \"goosefs\"\n{INTRODUCTION}",
        env!("CARGO_PKG_VERSION")
    );
    let mut settings: Vec<_> = all_settings().collect();
    settings.sort_by_key(|s| s.name);
    for setting in settings {
        let default = if setting.default.is_empty() { "empty" } else { setting.default };
        page.push_str(&format!(
            ".TP\n.B {}\n{}\n.br\nType: {}. Default: {}.\n",
            setting.name,
            roff(setting.doc.trim()),
            setting.kind,
            roff(default)
        ));
        if let Some(variable) = setting.env {
            page.push_str(&format!("Also set by ${variable}.\n"));
        }
    }
    page.push_str(EPILOGUE);
    page
}

/// Text that roff takes as it is.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

const INTRODUCTION: &str = r#".SH NAME
goosefs.yaml \- configuration of a goosefs node
.SH DESCRIPTION
Every node of a cluster takes any role from the same file.
It is looked for as the argument of
.BR \-\-config ,
then as
.BR $GOOSEFS_CONF ,
.BR ./goosefs.yaml ,
.BR /etc/goosefs/goosefs.yaml ;
without any the built\-in defaults run a single node.
.PP
A property may be written with its dotted name, with or without
.BR goosefs. ,
or as nested maps.
The environment variable of
.B goosefs.master.rpc.port
is
.B GOOSEFS_MASTER_RPC_PORT
and goes before the file;
.B \-D goosefs.master.rpc.port=9300
on the command line goes before both.
Sizes are written as 64MB, 1.5GiB or 4096 (powers of 1,024), durations as 500ms, 30s, 10min, 1day, shares as 90%.
.B ${other.property}
stands for the value of another property.
.PP
An unknown key, a wrong type or an impossible combination stops start\-up with file, line, key and the nearest valid key;
.B goosefs checkConf
does only that.
.SH PROPERTIES
"#;

const EPILOGUE: &str = r#".SH CONNECTORS
Properties below
.B goosefs.underfs.
are handed to under\-store connectors without that prefix, as are the options of a mount, which go before them.
.SH EXAMPLE
.nf
data.dir: /var/lib/goosefs
master:
  hostname: master.example.org
worker:
  dirs:
    \- MEM:/dev/shm/goosefs:16GB
    \- SSD:/mnt/nvme0/goosefs:80%
user:
  file:
    writetype.default: CACHE_THROUGH
.fi
.SH SEE ALSO
.BR goosefs (1)
"#;
