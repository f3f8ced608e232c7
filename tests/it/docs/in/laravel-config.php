<?php

// An entry of config/database.php, as a file, is evaluated with what .env says and kept for laravel.php.

error_reporting(E_ALL & ~E_DEPRECATED);
require '/usr/share/php/Dotenv/autoload.php';
require '/usr/share/php/Illuminate/Database/autoload.php';

Dotenv\Dotenv::create(Illuminate\Support\Env::getRepository(), getcwd())->load();
$entry = preg_replace('/^<\?php\n/', '', file_get_contents($argv[1]));
file_put_contents('laravel.json', json_encode(eval("return [$entry];"), JSON_THROW_ON_ERROR));
