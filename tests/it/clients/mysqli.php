<?php
// mysqli: strings escaped by the client, and prepared statements. Reads a job, prints what was seen.
mysqli_report(MYSQLI_REPORT_OFF);
$job = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);

function connect(array $job, string $password)
{
    return @mysqli_connect($job['host'], 'root', $password, 'CometQL_v1', $job['port']);
}

if (connect($job, 'wrong') !== false) {
    exit('a wrong password was accepted');
}
$report = ['refused' => mysqli_connect_errno()];
$comet = connect($job, $job['password']) or exit('connect: ' . mysqli_connect_error());
$comet->set_charset('utf8mb4') or exit('set_charset: ' . $comet->error);

/** Runs a statement with its values in place of the question marks; rows, or the number of affected rows. */
function escaped(mysqli $comet, string $sql, array $values)
{
    $parts = explode('?', $sql);
    $text = array_shift($parts);
    foreach ($parts as $index => $part) {
        $text .= "'" . $comet->real_escape_string((string)$values[$index]) . "'" . $part;
    }
    $answer = $comet->query($text);
    if ($answer instanceof mysqli_result) {
        return $answer->fetch_all();
    }
    return $answer ? $comet->affected_rows : false;
}

/** As above, prepared. */
function prepared(mysqli $comet, string $sql, array $values)
{
    $statement = $comet->prepare($sql);
    if (!$statement || !$statement->execute($values)) {
        return false;
    }
    $answer = $statement->field_count > 0 ? $statement->get_result() : null;
    return $answer instanceof mysqli_result ? $answer->fetch_all() : $statement->affected_rows;
}

foreach (['escaped', 'prepared'] as $number => $mode) {
    $read = [];
    foreach ($job['strings'] as $index => $string) {
        $id = $number * 1000 + $index + 1;
        $message = [$job['pipe'], $mode, $string];
        $published = $mode($comet, 'INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)', $message);
        $stored = $mode($comet, 'INSERT INTO users_data (id, data) VALUES (?, ?)', [$id, $string]);
        $sent = $mode($comet, 'INSERT INTO users_messages (id, event, message) VALUES (?, ?, ?)', [7000, $mode, $string]);
        if ($published !== 0 || $stored !== 1 || $sent !== 0) {
            exit("$mode $index: " . $comet->errno . ' ' . $comet->error);
        }
        $read[] = $mode($comet, 'SELECT data FROM users_data WHERE id = ?', [$id])[0][0];
    }
    $seen = ['read' => $read];
    $mode($comet, 'SELECT id FROM no_such_table WHERE id = ?', [1]) === false or exit('no error');
    $seen['unknown_table'] = $comet->errno;
    $mode($comet, 'SELECT data FROM users_data WHERE data = ?', ['x']) === false or exit('no error');
    $seen['no_key'] = $comet->errno;
    for ($count = 0; $count < 100; $count++) {
        $mode($comet, 'INSERT INTO users_data (id, data) VALUES (?, ?)', [5000, "n$count"]);
        if ($mode($comet, 'SELECT data FROM users_data WHERE id = ?', [5000]) !== [["n$count"]]) {
            break;
        }
    }
    $seen['in_a_row'] = $count;
    $report[$mode] = $seen;
}
echo json_encode($report, JSON_THROW_ON_ERROR);
