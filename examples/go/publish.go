// Publishes one message: publish PIPE EVENT MESSAGE
package main

import (
	"database/sql"
	"fmt"
	"os"
	"strings"

	"github.com/go-sql-driver/mysql"
)

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "publish PIPE EVENT MESSAGE")
		os.Exit(2)
	}
	if err := publish(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func publish(pipe, event, message string) error {
	password, err := password()
	if err != nil {
		return err
	}
	config := mysql.NewConfig()
	config.Net = "tcp"
	config.Addr = setting("COMET_HOST", "127.0.0.1") + ":" + setting("COMET_PORT", "3300")
	config.User, config.Passwd, config.DBName = "root", password, "CometQL_v1"
	comet, err := sql.Open("mysql", config.FormatDSN())
	if err != nil {
		return err
	}
	defer comet.Close()
	// Placeholders, so that no message can be taken for SQL.
	_, err = comet.Exec("INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)", pipe, event, message)
	return err
}

func password() (string, error) {
	if known, ok := os.LookupEnv("COMET_PASSWORD"); ok {
		return known, nil
	}
	text, err := os.ReadFile(setting("COMET_PASSWORD_FILE", "data/cometql.password"))
	return strings.TrimSpace(string(text)), err
}

func setting(name, otherwise string) string {
	if value, ok := os.LookupEnv(name); ok {
		return value
	}
	return otherwise
}
