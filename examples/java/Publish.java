// Publishes one message: Publish PIPE EVENT MESSAGE

import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.DriverManager;

public class Publish {
    public static void main(String[] arguments) throws Exception {
        if (arguments.length != 3) {
            System.err.println("Publish PIPE EVENT MESSAGE");
            System.exit(2);
        }
        String address = "jdbc:mariadb://" + setting("COMET_HOST", "127.0.0.1") + ":" + setting("COMET_PORT", "3300") + "/CometQL_v1";
        // Placeholders, so that no message can be taken for SQL.
        String insert = "INSERT INTO pipes_messages (name, event, message) VALUES (?, ?, ?)";
        try (var comet = DriverManager.getConnection(address, "root", password()); var publish = comet.prepareStatement(insert)) {
            for (int place = 0; place < arguments.length; place++) {
                publish.setString(place + 1, arguments[place]);
            }
            publish.executeUpdate();
        }
    }

    static String password() throws Exception {
        String known = System.getenv("COMET_PASSWORD");
        return known != null ? known : Files.readString(Path.of(setting("COMET_PASSWORD_FILE", "data/cometql.password"))).strip();
    }

    static String setting(String name, String otherwise) {
        return System.getenv().getOrDefault(name, otherwise);
    }
}
