//! `encke import` of a program that was built without MySQL.

use super::conf::Loaded;

pub(crate) fn run(_loaded: &Loaded, _from: Option<&str>, _to: Option<&str>) -> Result<(), String> {
    Err("this program was built without MySQL (the feature mysql), so there is no import".to_owned())
}
