<?php
// PDO with emulated and with real prepared statements. Reads a job, prints what was seen.
$job = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);

function connect(array $job, string $password): PDO
{
    $name = "mysql:host={$job['host']};port={$job['port']};dbname=CometQL_v1;charset=utf8mb4";
    return new PDO($name, 'root', $password, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

function run(PDO $comet, string $sql, array $values): PDOStatement
{
    $statement = $comet->prepare($sql);
    $statement->execute($values);
    return $statement;
}

/** The number of the error that this ends in. */
function refusal(callable $action): int
{
    try {
        $action();
    } catch (PDOException $exception) {
        return $exception->errorInfo[1];
    }
    return 0;
}

$report = ['refused' => refusal(fn () => connect($job, 'wrong'))];
$comet = connect($job, $job['password']);
foreach (['emulated', 'prepared'] as $number => $mode) {
    $comet->setAttribute(PDO::ATTR_EMULATE_PREPARES, $mode === 'emulated');
    $read = [];
    foreach ($job['strings'] as $index => $string) {
        $id = $number * 1000 + $index + 1;
        $message = [$job['pipe'], $mode, $string];
        run($comet, 'INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)', $message);
        $letter = [7000, $mode, $string];
        run($comet, 'INSERT INTO users_messages (id, event, message) VALUES (?, ?, ?)', $letter);
        $row = ['id' => $id, 'data' => $string];
        $stored = run($comet, 'INSERT INTO users_data (id, data) VALUES (:id, :data)', $row);
        if ($stored->rowCount() !== 1 || $comet->lastInsertId() !== (string)$id) {
            exit("$mode $index: " . $stored->rowCount() . ' rows, id ' . $comet->lastInsertId());
        }
        $read[] = run($comet, 'SELECT data FROM users_data WHERE id = ?', [$id])->fetchColumn();
    }
    $seen = ['read' => $read];
    $seen['unknown_table'] = refusal(fn () => run($comet, 'SELECT id FROM no_such_table WHERE id = ?', [1]));
    $seen['no_key'] = refusal(fn () => run($comet, 'SELECT data FROM users_data WHERE data = ?', ['x']));
    for ($count = 0; $count < 100; $count++) {
        run($comet, 'INSERT INTO users_data (id, data) VALUES (?, ?)', [5000, "n$count"]);
        $rows = run($comet, 'SELECT data FROM users_data WHERE id = ?', [5000])->fetchAll(PDO::FETCH_COLUMN);
        if ($rows !== ["n$count"]) {
            break;
        }
    }
    $seen['in_a_row'] = $count;
    $report[$mode] = $seen;
}
echo json_encode($report, JSON_THROW_ON_ERROR);
