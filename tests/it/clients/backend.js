// A backend on one of Node's client libraries, named by the argument. Reads a job, prints what was seen.
'use strict';
const assert = require('node:assert');
const fs = require('node:fs');
const {createRequire} = require('node:module');
const {promisify} = require('node:util');

const [library, folder] = process.argv.slice(2);
const load = createRequire(`${folder}/`);
const job = JSON.parse(fs.readFileSync(0, 'utf8'));

function options(password) {
    return {host: job.host, port: job.port, user: 'root', password, database: 'CometQL_v1'};
}

// Each connects and says what its ways of running a statement are; a run gives rows or a result with affected rows.
const libraries = {
    async mysql(password) {
        const connection = load('mysql').createConnection({...options(password), charset: 'utf8mb4'});
        await promisify(connection.connect).call(connection);
        const query = promisify(connection.query).bind(connection);
        return {modes: {placeholders: query}, end: () => promisify(connection.end).call(connection)};
    },
    async mysql2(password) {
        const connection = await load('mysql2/promise').createConnection(options(password));
        const first = async (answer) => (await answer)[0];
        return {
            modes: {
                placeholders: (sql, values) => first(connection.query(sql, values)),
                prepared: (sql, values) => first(connection.execute(sql, values)),
            },
            end: () => connection.end(),
        };
    },
    async mariadb(password) {
        const connection = await load('mariadb').createConnection(options(password));
        return {
            modes: {
                placeholders: (sql, values) => connection.query(sql, values),
                prepared: (sql, values) => connection.execute(sql, values),
            },
            end: () => connection.end(),
        };
    },
};

async function refusal(action) {
    try {
        await action();
    } catch (error) {
        return error.errno;
    }
    return 0;
}

async function use(mode, run, number) {
    const read = [];
    for (const [index, string] of job.strings.entries()) {
        const id = number * 1000 + index + 1;
        await run('INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)', [job.pipe, mode, string]);
        await run('INSERT INTO users_messages (id, event, message) VALUES (?, ?, ?)', [7000, mode, string]);
        const stored = await run('INSERT INTO users_data (id, data) VALUES (?, ?)', [id, string]);
        assert.equal(stored.affectedRows, 1, `${mode} ${index}`);
        assert.equal(Number(stored.insertId), id, `${mode} ${index}`);
        const rows = await run('SELECT data FROM users_data WHERE id = ?', [id]);
        read.push(rows[0].data);
    }
    const seen = {read};
    seen.unknown_table = await refusal(() => run('SELECT id FROM no_such_table WHERE id = ?', [1]));
    seen.no_key = await refusal(() => run('SELECT data FROM users_data WHERE data = ?', ['x']));
    // All at once: the libraries queue them, or send them without waiting for answers.
    const answers = [];
    for (let count = 0; count < 100; count++) {
        answers.push(run('INSERT INTO users_data (id, data) VALUES (?, ?)', [5000, `n${count}`]));
        answers.push(run('SELECT data FROM users_data WHERE id = ?', [5000]));
    }
    const rows = (await Promise.all(answers)).filter((_, place) => place % 2 === 1);
    seen.in_a_row = rows.filter((row, count) => row.length === 1 && row[0].data === `n${count}`).length;
    return seen;
}

async function main() {
    const report = {refused: await refusal(() => libraries[library]('wrong'))};
    const {modes, end} = await libraries[library](job.password);
    for (const [number, mode] of Object.keys(modes).entries()) {
        report[mode] = await use(mode, modes[mode], number);
    }
    await end();
    fs.writeFileSync(1, JSON.stringify(report));
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
