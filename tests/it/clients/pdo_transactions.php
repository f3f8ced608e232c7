<?php
// Transactions of PDO, which looks at the server's status before it commits. Reads a job, prints what was seen.
$job = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);
$name = "mysql:host={$job['host']};port={$job['port']};dbname=CometQL_v1;charset=utf8mb4";
$comet = new PDO($name, 'root', $job['password'], [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);

function run(PDO $comet, string $sql, array $values): PDOStatement
{
    $statement = $comet->prepare($sql);
    $statement->execute($values);
    return $statement;
}

function check(bool $right, string $what): void
{
    if (!$right) {
        exit("$what is wrong\n");
    }
}

check(!$comet->inTransaction(), 'no transaction');
$comet->beginTransaction();
check($comet->inTransaction(), 'a transaction');
run($comet, 'INSERT INTO users_auth (id, hash) VALUES (?, ?)', [9101, 'first']);
$message = [$job['pipe'], $job['event'], $job['string']];
run($comet, 'INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)', $message);
check($comet->inTransaction(), 'the same transaction');
check($comet->commit(), 'a commit');
check(!$comet->inTransaction(), 'the end');

$comet->beginTransaction();
$affected = run($comet, 'UPDATE users_auth SET hash = ? WHERE id = ?', ['second', 9101])->rowCount();
check($comet->rollBack(), 'a rollback');
$warnings = $comet->query('SHOW WARNINGS')->fetchAll(PDO::FETCH_ASSOC);
check(count($warnings) === 1 && (int)$warnings[0]['Code'] === 1196, 'the warning');

$comet->setAttribute(PDO::ATTR_AUTOCOMMIT, 0);
check((string)$comet->query('SELECT @@autocommit')->fetchColumn() === '0', 'no autocommit');
run($comet, 'SELECT hash FROM users_auth WHERE id = ?', [9101])->fetchAll();
check($comet->inTransaction(), 'a transaction without a beginning');
check($comet->commit(), 'its commit');
$comet->setAttribute(PDO::ATTR_AUTOCOMMIT, 1);

// What a session that escapes in another way sends is read in that way.
$comet->exec("SET sql_mode = 'NO_BACKSLASH_ESCAPES'");
$odd = "\\'), (9102, 'injected";
check($comet->query('SELECT ' . $comet->quote($odd))->fetchColumn() === $odd, 'a quoted text');
$comet->exec('SET sql_mode = DEFAULT');
check($comet->query('SELECT ' . $comet->quote($odd))->fetchColumn() === $odd, 'a quoted text again');

try {
    $comet->query('SELECT id FROM no_such_table WHERE id = 1');
    $number = 0;
} catch (PDOException $exception) {
    $number = $exception->errorInfo[1];
}
echo json_encode([
    'affected' => $affected,
    'hash' => run($comet, 'SELECT hash FROM users_auth WHERE id = ?', [9101])->fetchColumn(),
    'tables' => in_array('users_auth', $comet->query('SHOW TABLES')->fetchAll(PDO::FETCH_COLUMN), true),
    'unknown_table' => $number,
], JSON_THROW_ON_ERROR);
