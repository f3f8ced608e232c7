//! The exercise of an application with sqlx: reads a job on standard input and prints what it saw as JSON.

use serde_json::{Value, json};
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions};
use sqlx::{Row, query};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let job: Value = serde_json::from_reader(std::io::stdin())?;
    let text = |name: &str| job[name].as_str().unwrap_or_default();
    let port = u16::try_from(job["port"].as_u64().unwrap_or_default())?;
    let options = MySqlConnectOptions::new().host(text("host")).port(port).username("root").database("CometQL_v1");
    let pool = MySqlPoolOptions::new().max_connections(1).connect_with(options.password(text("password"))).await?;

    let mut transaction = pool.begin().await?;
    let hash = "INSERT INTO users_auth (id, hash) VALUES (?, ?)";
    query(hash).bind(9101).bind("first").execute(&mut *transaction).await?;
    let publish = "INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)";
    query(publish).bind(text("pipe")).bind(text("event")).bind(text("string")).execute(&mut *transaction).await?;
    transaction.commit().await?;

    let mut transaction = pool.begin().await?;
    let update = query("UPDATE users_auth SET hash = ? WHERE id = ?").bind("second").bind(9101);
    let updated = update.execute(&mut *transaction).await?;
    transaction.rollback().await?;

    let row = query("SELECT hash FROM users_auth WHERE id = ?").bind(9101).fetch_one(&pool).await?;
    let tables = query("SHOW TABLES").fetch_all(&pool).await?;
    let wrong = query("SELECT id FROM no_such_table WHERE id = 1").fetch_all(&pool).await;
    let number = match wrong {
        Err(sqlx::Error::Database(error)) => {
            let error = error.downcast_ref::<sqlx::mysql::MySqlDatabaseError>();
            error.number()
        }
        _ => 0,
    };
    let seen = json!({
        "affected": updated.rows_affected(),
        "hash": row.get::<String, _>(0),
        "tables": tables.iter().any(|row| row.get::<String, _>(0) == "users_auth"),
        "unknown_table": number,
    });
    println!("{seen}");
    Ok(())
}
