// MariaDB Connector/J with statements put together by the client, and prepared ones.
//
// Java has no JSON of its own: the job comes as lines (host, port, password, pipe, then the strings, all but the first
// two in Base64), what was seen leaves as JSON.
import java.nio.charset.StandardCharsets;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Base64;
import java.util.List;
import java.util.Scanner;

public class Backend {
    interface Action {
        void run() throws SQLException;
    }

    static String host, port, password, pipe;
    static final List<String> strings = new ArrayList<>();

    public static void main(String[] arguments) throws Exception {
        Scanner lines = new Scanner(System.in, StandardCharsets.US_ASCII).useDelimiter("\n");
        host = lines.next();
        port = lines.next();
        password = decode(lines.next());
        pipe = decode(lines.next());
        while (lines.hasNext()) {
            strings.add(decode(lines.next()));
        }
        StringBuilder report = new StringBuilder("{\"refused\": " + refusal(() -> connect("wrong", false)));
        report.append(", \"emulated\": ").append(use("emulated", 0, connect(password, false)));
        report.append(", \"prepared\": ").append(use("prepared", 1, connect(password, true)));
        System.out.print(report.append("}"));
    }

    static Connection connect(String password, boolean prepared) throws SQLException {
        String url = "jdbc:mariadb://" + host + ":" + port + "/CometQL_v1?useServerPrepStmts=" + prepared;
        return DriverManager.getConnection(url, "root", password);
    }

    static String use(String mode, int number, Connection comet) throws SQLException {
        List<String> read = new ArrayList<>();
        for (int index = 0; index < strings.size(); index++) {
            String string = strings.get(index);
            int id = number * 1000 + index + 1;
            String publish = "INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)";
            try (PreparedStatement statement = comet.prepareStatement(publish)) {
                statement.setString(1, pipe);
                statement.setString(2, mode);
                statement.setString(3, string);
                statement.executeUpdate();
            }
            String send = "INSERT INTO users_messages (id, event, message) VALUES (?, ?, ?)";
            try (PreparedStatement statement = comet.prepareStatement(send)) {
                statement.setInt(1, 7000);
                statement.setString(2, mode);
                statement.setString(3, string);
                statement.executeUpdate();
            }
            if (store(comet, id, string) != 1) {
                throw new IllegalStateException(mode + " " + index + ": not one row");
            }
            read.add(quote(load(comet, "data FROM users_data WHERE id = ?", Integer.toString(id))));
        }
        int unknownTable = refusal(() -> load(comet, "id FROM no_such_table WHERE id = ?", "1"));
        int noKey = refusal(() -> load(comet, "data FROM users_data WHERE data = ?", "x"));
        int count = 0;
        while (count < 100) {
            store(comet, 5000, "n" + count);
            if (!load(comet, "data FROM users_data WHERE id = ?", "5000").equals("n" + count)) {
                break;
            }
            count++;
        }
        comet.close();
        return "{\"read\": [" + String.join(", ", read) + "], \"unknown_table\": " + unknownTable
            + ", \"no_key\": " + noKey + ", \"in_a_row\": " + count + "}";
    }

    static int store(Connection comet, int id, String data) throws SQLException {
        String sql = "INSERT INTO users_data (id, data) VALUES (?, ?)";
        try (PreparedStatement statement = comet.prepareStatement(sql)) {
            statement.setInt(1, id);
            statement.setString(2, data);
            return statement.executeUpdate();
        }
    }

    static String load(Connection comet, String what, String key) throws SQLException {
        try (PreparedStatement statement = comet.prepareStatement("SELECT " + what)) {
            statement.setString(1, key);
            ResultSet rows = statement.executeQuery();
            return rows.next() ? rows.getString(1) : null;
        }
    }

    /** The number of the error that this ends in. */
    static int refusal(Action action) {
        try {
            action.run();
        } catch (SQLException exception) {
            return exception.getErrorCode();
        }
        return 0;
    }

    static String decode(String line) {
        return new String(Base64.getDecoder().decode(line), StandardCharsets.UTF_8);
    }

    static String quote(String text) {
        StringBuilder json = new StringBuilder("\"");
        text.chars().forEach(unit -> json.append(String.format("\\u%04x", unit)));
        return json.append("\"").toString();
    }
}
