//! Blocks that are part of something larger: a file of a site, a service of a framework, a plugin.
//!
//! `file=NAME` writes the block into the server's folder, where later blocks find it; PHP and JavaScript must be without
//! mistakes of syntax. `in=NAME` hands the block, as a file, to a program in `tests/it/docs/in` that supplies the rest
//! and judges what comes of it. Its working directory is the server's folder, the checkout is in `ENCKE_ROOT`, and what
//! needs a database of a site finds one in `SITE_HOST`, `SITE_USER` and `SITE_NAME` (the password is in `MYSQL_PWD`).

use super::markdown::Block;
use super::run::{Outcome, Runner};
use crate::mariadb::MariaDb;
use crate::server::PATIENCE;
use crate::tools;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Surroundings, what has to be installed for them, and the name under which `scripts/test` knows that.
const NEEDS: [(&str, &str, &str); 8] = [
    ("phpdotenv", "/usr/share/php/Dotenv/autoload.php", "php-dotenv"),
    ("laravel-config", "/usr/share/php/Illuminate/Database/autoload.php", "php-illuminate"),
    ("laravel", "/usr/share/php/Illuminate/Database/autoload.php", "php-illuminate"),
    ("symfony-config", "/usr/share/php/Symfony/Component/Yaml/autoload.php", "php-symfony"),
    ("symfony", "/usr/share/php/Doctrine/DBAL/autoload.php", "doctrine"),
    ("vite", ".test-deps/bundlers/node_modules/vite", "bundlers"),
    ("vite", ".test-deps/web/node_modules/typescript", "web-tools"),
    ("wordpress", ".test-deps/wordpress/wp-settings.php", "wordpress"),
];

impl Runner {
    /// `None` if the block is run as any other.
    pub(super) fn surrounded(&mut self, block: &Block) -> Option<Outcome> {
        let word = |key: &str| block.words.iter().find_map(|word| word.strip_prefix(key));
        let done = match (word("file="), word("in=")) {
            (Some(name), _) => self.keep(block, name),
            (None, Some(name)) => self.hand_over(block, name),
            (None, None) => return None,
        };
        Some(done.map_or_else(|outcome| outcome, |()| Outcome::Ran))
    }

    fn keep(&mut self, block: &Block, name: &str) -> Result<(), Outcome> {
        let file = self.folder.join(name);
        fs::create_dir_all(file.parent().unwrap_or(&self.folder)).expect("a folder");
        let opened = if block.language == "php" && !block.text.starts_with("<?php") { "<?php\n" } else { "" };
        fs::write(&file, format!("{opened}{}", self.localised(&block.text))).expect("a file for the block");
        let (program, check) = match block.language.as_str() {
            "php" => ("php", "--syntax-check"),
            "js" => ("node", "--check"),
            _ => return Ok(()),
        };
        let program = tools::find(&[program]).ok_or(Outcome::Skipped(program))?;
        self.start(Command::new(program).arg(check).arg(file))
    }

    fn hand_over(&mut self, block: &Block, name: &str) -> Result<(), Outcome> {
        let (program, surroundings) =
            surroundings(name).ok_or_else(|| Outcome::Failed(format!("no surroundings {name}")))?;
        if name == "laravel" && !has_sqlite() {
            return Err(Outcome::Skipped("php-sqlite"));
        }
        let needs = NEEDS.iter().filter(|(of, ..)| *of == name);
        for (_, needed, known) in needs {
            if !tools::root().join(needed).exists() {
                return Err(Outcome::Skipped(known));
            }
        }
        let program = tools::find(&[program]).ok_or(Outcome::Skipped(program))?;
        let opened = if block.language == "php" && !block.text.starts_with("<?php") { "<?php\n" } else { "" };
        let file = self.script(&block.language, &format!("{opened}{}", self.localised(&block.text)));
        let mut command = Command::new(program);
        command.arg(surroundings).args(file.file_name()).env("ENCKE_ROOT", tools::root());
        if name == "wordpress" {
            let mariadb = MariaDb::shared("every_block_of_the_documents_runs").ok_or(Outcome::Skipped("mariadbd"))?;
            let place = mariadb.database();
            command.env("SITE_HOST", format!("{}:{}", place.host, place.port));
            command.env("SITE_USER", place.user).env("SITE_NAME", place.name);
        }
        self.start(&mut command)
    }
}

/// Whether PHP has what stands for the database of a site.
pub(super) fn has_sqlite() -> bool {
    let Some(php) = tools::find(&["php"]) else { return false };
    tools::run(Command::new(php).arg("-m"), PATIENCE).stdout.lines().any(|line| line == "pdo_sqlite")
}

/// The program that runs them, and their file.
fn surroundings(name: &str) -> Option<(&'static str, PathBuf)> {
    let folder = tools::root().join("tests/it/docs/in");
    let endings = [("php", "php"), ("node", "mjs"), ("python3", "py")];
    endings.into_iter().find_map(|(program, ending)| {
        let file = folder.join(Path::new(name).with_extension(ending));
        file.is_file().then_some((program, file))
    })
}
