# Publishes one message: ruby publish.rb PIPE EVENT MESSAGE

require "mysql2"

abort "ruby publish.rb PIPE EVENT MESSAGE" unless ARGV.size == 3

comet = Mysql2::Client.new(
  host: ENV.fetch("COMET_HOST", "127.0.0.1"),
  port: ENV.fetch("COMET_PORT", "3300").to_i,
  username: "root",
  password: ENV.fetch("COMET_PASSWORD") { File.read(ENV.fetch("COMET_PASSWORD_FILE", "data/cometql.password")).strip },
  database: "CometQL_v1",
  encoding: "utf8mb4",
)
# Placeholders, so that no message can be taken for SQL.
comet.prepare("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)").execute(*ARGV)
comet.close
