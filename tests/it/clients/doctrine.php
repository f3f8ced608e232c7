<?php
// The exercise of an application with Doctrine DBAL: reads a job, prints what was seen. The arguments are its autoloader
// and the driver.
use Doctrine\DBAL\DriverManager;
use Doctrine\DBAL\Exception\DriverException;

require $argv[1];
$job = json_decode(stream_get_contents(STDIN), true, 512, JSON_THROW_ON_ERROR);
$comet = DriverManager::getConnection([
    'driver' => $argv[2],
    'host' => $job['host'],
    'port' => $job['port'],
    'user' => 'root',
    'password' => $job['password'],
    'dbname' => 'CometQL_v1',
    'charset' => 'utf8mb4',
]);
$comet->setNestTransactionsWithSavepoints(true);
$comet->transactional(function ($comet) use ($job) {
    $comet->insert('users_auth', ['id' => 9101, 'hash' => 'first']);
    $comet->transactional(function ($comet) use ($job) {
        $message = ['name' => $job['pipe'], 'event' => $job['event'], 'message' => $job['string']];
        $comet->insert('pipes_messages', $message);
    });
});
$comet->beginTransaction();
$affected = $comet->update('users_auth', ['hash' => 'second'], ['id' => 9101]);
$comet->rollBack();
try {
    $comet->fetchOne('SELECT id FROM no_such_table WHERE id = ?', [1]);
    $number = 0;
} catch (DriverException $exception) {
    $number = $exception->getCode();
}
$schema = $comet->createSchemaManager();
if (array_keys($schema->listTableColumns('users_auth')) !== ['id', 'hash']) {
    exit('columns');
}
echo json_encode([
    'affected' => $affected,
    'hash' => $comet->fetchOne('SELECT hash FROM users_auth WHERE id = ?', [9101]),
    'tables' => in_array('users_auth', $schema->listTableNames(), true),
    'unknown_table' => $number,
], JSON_THROW_ON_ERROR);
