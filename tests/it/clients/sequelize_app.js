// The exercise of an application with Sequelize: reads a job on standard input, prints what it saw as JSON. The argument is
// the folder of its packages.
"use strict";

const path = require("path");
const packages = process.argv[2];
const { DataTypes, QueryTypes, Sequelize, Transaction } = require(path.join(packages, "sequelize"));

async function main() {
  const job = JSON.parse(require("fs").readFileSync(0, "utf8"));
  const comet = new Sequelize("CometQL_v1", "root", job.password, {
    host: job.host,
    port: job.port,
    dialect: "mysql",
    dialectModule: require(path.join(packages, "mysql2")),
    logging: false,
  });
  const id = { type: DataTypes.INTEGER, primaryKey: true };
  const Login = comet.define("Login", { id, hash: DataTypes.STRING(32) }, { tableName: "users_auth", timestamps: false });

  await comet.transaction(async (transaction) => {
    await Login.create({ id: 9101, hash: "first" }, { transaction });
    const publish = "INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)";
    const replacements = [job.pipe, job.event, job.string];
    await comet.query(publish, { replacements, type: QueryTypes.INSERT, transaction });
  });

  let affected = 0;
  const isolationLevel = Transaction.ISOLATION_LEVELS.READ_COMMITTED;
  const undone = new Error("undone");
  await comet
    .transaction({ isolationLevel }, async (transaction) => {
      [affected] = await Login.update({ hash: "second" }, { where: { id: 9101 }, transaction });
      throw undone;
    })
    .catch((error) => {
      if (error !== undone) throw error;
    });

  const wrong = comet.query("SELECT id FROM no_such_table WHERE id = 1");
  const number = await wrong.then(() => 0, (error) => error.original.errno);
  const tables = await comet.getQueryInterface().showAllTables();
  const login = await Login.findByPk(9101);
  const seen = { affected, hash: login.hash, tables: tables.includes("users_auth"), unknown_table: number };
  process.stdout.write(JSON.stringify(seen));
  await comet.close();
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
