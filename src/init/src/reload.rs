//! Taking over the services besides the image's, while all others run.

use std::path::Path;

use contract::paths::ADDED_SERVICES;

use crate::console;
use crate::hand::Hand;
use crate::service::table::Table;
use crate::service::{added, log, state};

/// Reads their table. New ones wait for whom they need, those that are gone are stopped first.
pub(crate) fn run(table: &mut Table, hand: &mut Hand, now_ms: u64) -> Result<(), String> {
    let services = added::load(Path::new(ADDED_SERVICES))?;
    console::step(format_args!("{} services besides the image's", services.len()));
    let changes = table.set_added(services)?;
    changes.problems.iter().for_each(|problem| console::say(problem));
    hand.stop_leaving(table, &changes.leaving, now_ms);
    log::set_up(table.units().len());
    changes.new.iter().filter_map(|&index| table.unit(index)).for_each(state::write);
    Ok(())
}
