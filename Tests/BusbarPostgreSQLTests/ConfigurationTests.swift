import BusbarDriver
import BusbarPostgreSQL
import Testing

@Suite("a postgres: URL")
struct ConfigurationTests {
    @Test("takes its own keys out and leaves the rest for libpq, as it stands")
    func splits() throws {
        let configuration = try PostgresConfiguration(
            url: "POSTGRES://u:p%40ss@a:1,b:2/db?sslmode=disable&app=chat&streams=4&schema=bus&logged=true"
                + "&synchronousCommit=remote_write&retainedAge=60&retainedBytes=1048576&largestRecordBytes=65536"
                + "&listener=postgres%3A%2F%2Fdirect%2Fdb&probeInterval=100&longestRest=0&application_name=x")
        #expect(configuration.server.text == "postgres://u:p%40ss@a:1,b:2/db?sslmode=disable&application_name=x")
        #expect(configuration.listenerServer?.text == "postgres://direct/db")
        #expect(configuration.app == "chat" && configuration.schema == "bus" && configuration.isLogged)
        #expect(configuration.synchronousCommit == .remoteWrite && configuration.retainedAge == .seconds(60))
        #expect(configuration.retainedBytes == 1_048_576 && configuration.largestRecordBytes == 65_536)
        #expect(configuration.probeInterval == .milliseconds(100) && configuration.longestRest == .zero)
        #expect(
            try PostgresConfiguration(url: "postgresql:///db?service=prod").server.text
                == "postgresql:///db?service=prod")
    }

    @Test(
        "names the key that won't do and what would be right, without any secret",
        arguments: [
            ("postgres://u:hunter2@h/db?logged=maybe", "logged", "true or false"),
            ("postgres://u:hunter2@h/db?retainedBytes=-1", "retainedBytes", "whole number"),
            ("postgres://u:hunter2@h/db?retainedAge=0", "retainedAge", "1.0 seconds"),
            ("postgres://u:hunter2@h/db?longestRest=1001", "longestRest", "1.0 seconds"),
            ("postgres://u:hunter2@h/db?synchronousCommit=maybe", "synchronousCommit", "remote_apply"),
            ("postgres://u:hunter2@h/db?schema=pg_x", "schema", "pg_"),
            ("postgres://u:hunter2@h/db?schema=a&schema=b", "schema", "once"),
            ("postgres://u:hunter2@h/db?app=", "app", "1 to 100"),
            ("postgres://u:hunter2@h/db?app=%zz", "app", "percent-encoded"),
            ("postgres://u:hunter2@h/db?listener=redis%3A%2F%2Fx", "listener", "postgres://"),
            ("postgres://u:hunter2@h/db?shcema=x", "url", "no key \"shcema\""),
            ("postgres://u:hunter2@[h/db", "url", "percent-encoded"),
            ("postgres:u:hunter2", "url", "postgres://"),
        ])
    func refuses(url: String, key: String, remedy: String) throws {
        let error = #expect(throws: BackplaneURLError.self) { _ = try PostgresConfiguration(url: url) }
        #expect(error?.key == key)
        #expect(error?.remedy.contains(remedy) == true, "\(error?.remedy ?? "")")
        #expect(error?.description.contains("hunter2") == false)
    }
}

@Suite("what PostgreSQL says")
struct ServerErrorTests {
    @Test(
        "tells by its state whether to try again",
        arguments: [
            ("57P01", DriverError.Code.unreachable, true), ("53100", .overloaded, true), ("53300", .overloaded, true),
            ("55P03", .overloaded, true), ("26000", .overloaded, true), ("25006", .overloaded, true),
            ("28P01", .unauthorized, false),
            ("3D000", .rejected, false), ("42501", .unauthorized, false), ("BB002", .rejected, false),
            ("22021", .rejected, false), ("42P01", .unreachable, true), ("08006", .unreachable, true),
        ])
    func judges(state: String, code: DriverError.Code, mayRetry: Bool) {
        let error = ServerError(state: state, message: "m").driverError(during: "append")
        #expect(error.code == code && (error.recovery != .giveUp) == mayRetry && error.detail == "m (\(state))")
    }

    @Test("of several hosts that failed in different ways, none speaks for all")
    func severalHosts() {
        let refused = """
            connection to server at "127.0.0.1", port 1 failed: Connection refused
            \tIs the server running on that host and accepting TCP/IP connections?
            """
        let password = """
            connection to server at "127.0.0.1", port 2 failed: FATAL:  28P01: password authentication failed for user "u"
            LOCATION:  auth_failed, auth.c:338
            """
        #expect(ServerError(connecting: password).state == "28P01")
        #expect(!ServerError(connecting: password).message.contains("LOCATION"))
        #expect(ServerError(connecting: refused).state == nil)
        #expect(ServerError(connecting: refused + "\n" + password).state == nil)
        #expect(ServerError(connecting: password + "\n" + password).state == "28P01")
    }
}
