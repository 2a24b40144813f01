//! `goosefs getConf` and `goosefs checkConf`.

use super::Global;
use super::print::{Format, Output};
use crate::core::config::{Config, all_settings};
use crate::core::error::Result;
use crate::core::model::mount::is_secret;
use std::process::ExitCode;

/// Print the value of a property, or of all
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs getConf goosefs.master.rpc.port
  goosefs getConf --source             All properties, and who set each
  goosefs -D user.block.size.bytes.default=16MB getConf --source")]
pub struct GetConf {
    /// Property; all where none is given
    property: Option<String>,
    /// Say where each value comes from
    #[arg(long)]
    source: bool,
    #[command(flatten)]
    format: Output,
}

impl GetConf {
    /// Prints what was asked for; credentials as stars.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let config = global.load()?;
        if let Some(property) = &self.property {
            let value = config.get(property)?;
            let suffix = if self.source { format!(" ({})", value.source) } else { String::new() };
            println!("{}{suffix}", shown(property, value.text));
            return Ok(ExitCode::SUCCESS);
        }
        let mut names: Vec<String> = all_settings().map(|s| s.name.to_string()).collect();
        names.extend(config.explicit().map(|(name, _)| name.to_string()));
        names.sort_unstable();
        names.dedup();
        self.print(&config, &names)
    }

    fn print(&self, config: &Config, names: &[String]) -> Result<ExitCode> {
        let mut object = serde_json::Map::new();
        for name in names {
            let value = config.get(name)?;
            let (text, source) = (shown(name, value.text), value.source.to_string());
            match (self.format.output, self.source) {
                (Format::Json, true) => {
                    let entry = serde_json::json!({ "value": text, "source": source });
                    object.insert(name.clone(), entry);
                }
                (Format::Json, false) => {
                    object.insert(name.clone(), text.into());
                }
                (Format::Table, true) => println!("{name}={text} ({source})"),
                (Format::Table, false) => println!("{name}={text}"),
            }
        }
        if self.format.output == Format::Json {
            println!("{}", serde_json::Value::Object(object));
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn shown(name: &str, text: String) -> String {
    if is_secret(name) { "******".into() } else { text }
}

/// Check the configuration and do nothing else
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  goosefs checkConf
  goosefs --config /etc/goosefs/goosefs.yaml checkConf")]
pub struct CheckConf {}

impl CheckConf {
    /// Says that the configuration is valid, or fails naming what is not.
    pub fn run(self, global: &Global) -> Result<ExitCode> {
        let config = global.load()?;
        config.worker.check_memory()?;
        config.master.check_memory()?;
        crate::worker::store::layout::check(&config.worker)?;
        crate::fuse::memory(&config)?;
        println!("the configuration is valid: {} properties set", config.explicit().count());
        Ok(ExitCode::SUCCESS)
    }
}
