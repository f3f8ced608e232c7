"""The exercise of an application with ODBC: reads a job on standard input, prints what it saw as JSON. The argument is the
driver's file."""

import json
import sys

import pyodbc

JOB = json.load(sys.stdin)
connection = pyodbc.connect(
    f"DRIVER={sys.argv[1]};SERVER={JOB['host']};PORT={JOB['port']};UID=root;PWD={{{JOB['password']}}};DATABASE=CometQL_v1;CHARSET=utf8mb4"
)
cursor = connection.cursor()
cursor.execute("INSERT INTO users_auth (id, hash) VALUES (?, ?)", 9101, "first")
publish = "INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)"
cursor.execute(publish, JOB["pipe"], JOB["event"], JOB["string"])
connection.commit()

affected = cursor.execute("UPDATE users_auth SET hash = ? WHERE id = ?", "second", 9101).rowcount
connection.rollback()

# Catalogs: long unions, and variables that are set in each row.
assert len(cursor.getTypeInfo().fetchall()) > 20
columns = [row.column_name for row in cursor.columns(table="users_auth")]
assert columns == ["id", "hash"], columns
assert [row.column_name for row in cursor.primaryKeys(table="users_auth")] == ["id"]
sizes = {row.column_name: row.column_size for row in cursor.columns(table="users_auth")}
assert int(sizes["hash"]) == 32, sizes
for catalog in (cursor.statistics, cursor.foreignKeys, cursor.rowIdColumns, cursor.rowVerColumns):
    catalog("users_auth").fetchall()
for catalog in (cursor.procedures, cursor.procedureColumns):
    catalog().fetchall()

try:
    cursor.execute("SELECT id FROM no_such_table WHERE id = 1")
    unknown_table = 0
except pyodbc.Error as error:
    # The number stands in the text: `... (15) (SQLExecDirectW)`.
    unknown_table = int(str(error.args[1]).rsplit("(", 2)[1].split(")")[0])

seen = {
    "affected": affected,
    "hash": cursor.execute("SELECT hash FROM users_auth WHERE id = 9101").fetchone()[0],
    "tables": any(row.table_name == "users_auth" for row in cursor.tables()),
    "unknown_table": unknown_table,
}
json.dump(seen, sys.stdout)
