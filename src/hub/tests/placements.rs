//! What holds for one placement holds for all. Each process has its own, generated at random, so a test must not know which
//! shard owns what unless it asks.

use std::cell::Cell;

use super::*;

thread_local! {
    static SEED: Cell<u64> = const { Cell::new(7) };
}

/// The one that the tests of this thread are run under.
pub(super) fn placement(shards: u16) -> Placement {
    let seed = SEED.get();
    Placement::new(shards, [seed, seed << 17, !seed, seed << 41])
}

/// Hubs that are placed by this seed.
pub(super) fn hubs(shards: u16, seed: u64) -> Vec<Hub> {
    let before = SEED.replace(seed);
    let hubs = Net::new(shards).hubs;
    SEED.set(before);
    hubs
}

/// Runs tests under so many placements that three shards have owned three things in all ways.
fn under_many_placements(tests: &[fn()]) {
    for seed in 100..132 {
        SEED.set(seed);
        for (number, test) in tests.iter().enumerate() {
            let result = std::panic::catch_unwind(test);
            assert!(result.is_ok(), "test {number} fails under the placement with seed {seed}");
        }
    }
}

#[test]
fn publications_and_subscriptions() {
    under_many_placements(&[
        publications::a_publication_reaches_the_subscribers_of_every_shard_and_nobody_else,
        publications::a_sender_gets_a_report_and_no_echo,
        publications::a_report_without_subscribers_counts_nobody,
        subscriptions::a_new_list_replaces_the_old_one_and_only_differences_count,
        subscriptions::only_the_differences_of_a_new_list_are_told,
        subscriptions::a_connection_that_left_in_the_middle_costs_nothing,
    ]);
}

#[test]
fn users() {
    under_many_placements(&[
        logins::a_key_is_checked_against_storage,
        logins::a_deleted_hash_ends_the_users_connections_on_every_shard,
        departures::a_user_is_seen_last_when_the_last_connection_closes,
        departures::a_server_that_stops_has_seen_everybody,
        queues::what_waits_comes_first_and_once,
        queues::the_queue_is_not_read_before_it_is_known_what_is_put_into_it,
        people::who_watches_hears_of_the_first_and_the_last_connection,
        people::track_pipes_tell_of_real_changes_only,
    ]);
}

#[test]
fn histories() {
    under_many_placements(&[
        histories::history_is_kept_where_it_is_wanted_and_acknowledged_when_it_holds,
        histories::a_setting_is_updated_only_where_there_is_one,
        histories::a_setting_that_is_there_stays_where_another_is_added,
        histories::a_publisher_is_told_when_the_history_does_not_have_it,
        recovery::what_is_published_while_storage_reads_comes_behind_what_was_missed,
        recovery::more_than_is_kept_for_a_newcomer_is_a_gap,
        recovery::a_position_that_was_never_given_is_a_gap,
    ]);
}

#[test]
fn limits_and_presence() {
    under_many_placements(&[
        guesses::a_guesser_has_few_tries_whatever_the_shard_and_holds_up_one_user_only,
        guesses::what_is_no_guess_is_not_counted,
        limits::an_address_has_its_connections_on_whatever_shard,
        limits::an_address_begins_so_many_connections_in_a_second,
        limits::a_user_publishes_so_much_in_a_second_and_is_told_of_the_rest,
        limits::who_comes_back_in_time_was_never_away,
        limits::a_server_that_stops_notes_who_was_about_to_be_gone,
        limits::a_list_in_pages_names_everybody_who_stays,
        presence::coming_and_going_all_the_time_tells_the_members_next_to_nothing,
        presence::logging_in_and_out_all_the_time_tells_who_watches_next_to_nothing,
        presence::a_change_counts_as_a_publication_of_its_user,
    ]);
}
