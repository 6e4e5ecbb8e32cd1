import BrokerTestSupport
import BusbarDriver
import BusbarPostgreSQL
import Foundation
import Testing

@Suite(
    "Busbar's schema in a real PostgreSQL", .enabled(if: PostgresTests.areWanted), .serialized, .timeLimit(.minutes(2)))
struct PostgresSchemaTests {
    @Test("a role without any right to create needs no more than USAGE and EXECUTE when the schema is there")
    func smallRole() async throws {
        let server = try await PostgresServer.started()
        try server.sql("CREATE ROLE node LOGIN; REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
        let configuration = try server.configuration(user: "node")
        let error = await reasonForGivingUp(configuration)
        #expect(error?.code == .unauthorized && error?.detail.contains("--print-schema") == true)

        try server.sql(configuration.schemaText)
        let noUsage = await reasonForGivingUp(configuration)
        #expect(noUsage?.code == .unauthorized && noUsage?.detail.contains("permission denied") == true)
        try server.sql(
            "GRANT USAGE ON SCHEMA busbar TO node; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA busbar TO node")
        try await withNode(configuration) { driver, inbox in
            var writer = Writer()
            _ = try await driver.append(writer.batch("x"), to: stream)
            #expect(try await inbox.wait { !$0.records.isEmpty }.texts == ["x"])
        }
        #expect(throws: (any Error).self) { try server.sql("SELECT * FROM busbar.log", user: "node") }
    }

    @Test("a newer schema, an older one, one that isn't ours and one of the other durability are refused by name")
    func refusedSchemas() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { _, _ in }
        let logged = await reasonForGivingUp(try server.configuration(query: "&logged=true"))
        #expect(logged?.code == .rejected && logged?.detail.contains("logged=false") == true)
        try server.sql(
            "CREATE OR REPLACE FUNCTION busbar.schema_facts(OUT version int, OUT is_logged boolean) "
                + "LANGUAGE sql AS 'SELECT 99, false'")
        let newer = await reasonForGivingUp(try server.configuration())
        #expect(newer?.code == .rejected && newer?.recovery == .giveUp)
        #expect(newer?.detail.contains("version 99") == true && newer?.detail.contains("up to 3") == true)
        try server.sql(
            "CREATE OR REPLACE FUNCTION busbar.schema_facts(OUT version int, OUT is_logged boolean) "
                + "LANGUAGE sql AS 'SELECT 1, false'")
        let older = await reasonForGivingUp(try server.configuration())
        #expect(older?.code == .rejected && older?.recovery == .giveUp)
        #expect(older?.detail.contains("version 1") == true && older?.detail.contains("DROP SCHEMA") == true)
        try server.sql("CREATE SCHEMA theirs; CREATE TABLE theirs.apps (a int)")
        let foreign = await reasonForGivingUp(try server.configuration(query: "&schema=theirs"))
        #expect(foreign?.code == .rejected && foreign?.detail.contains("?schema=") == true)
    }

    @Test(
        "wrong credentials and a database that isn't there end the run, with the server's words and without the password"
    )
    func credentials() async throws {
        let server = try PostgresServer()
        let rules = server.directory.appending(path: "hba.conf")
        try "host all keyed 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 trust\n"
            .write(to: rules, atomically: true, encoding: .utf8)
        try FileManager.default.setAttributes([.posixPermissions: 0o644], ofItemAtPath: rules.path())
        try await server.start(["hba_file=\(rules.path())"])
        try server.sql("CREATE ROLE keyed LOGIN SUPERUSER PASSWORD 'right-secret'")
        let wrong = await reasonForGivingUp(try server.configuration(user: "keyed:wrong-secret"))
        #expect(wrong?.code == .unauthorized && wrong?.recovery == .giveUp)
        #expect(wrong?.description.contains("secret") == false && wrong?.detail.contains("keyed") == true)
        try await withNode(try server.configuration(user: "keyed:right-secret")) { _, _ in }
        let nowhere = await reasonForGivingUp(
            try PostgresConfiguration(url: "postgres://postgres@127.0.0.1:\(server.port)/nowhere"))
        #expect(nowhere?.code == .rejected && nowhere?.detail.contains("nowhere") == true)
    }

    @Test("of several hosts the one that takes writes is used; a standby alone is refused with the reason")
    func standby() async throws {
        let server = try await PostgresServer.started()
        try await withNode(try server.configuration()) { _, _ in }
        server.shutDown()
        let standby = try PostgresServer(copying: server.data)
        try Command.run("/usr/bin/touch", [standby.data.appending(path: "standby.signal").path()], asPostgres: true)
        try await server.start()
        try await standby.start()
        var alone = try standby.configuration()
        try await withNode(alone, untilLive: false) { _, inbox in
            let log = try await inbox.wait { !$0.interruptions.isEmpty }
            #expect(log.interruptions[0].detail.contains("read-only"), "\(log.interruptions[0])")
        }
        let hosts = "127.0.0.1:\(standby.port),127.0.0.1:\(server.port)"
        alone.server = Secret("postgres://postgres@\(hosts)/postgres")
        try await withNode(alone) { driver, inbox in
            var writer = Writer()
            let before = try await driver.append(writer.batch("a"), to: stream).last
            server.crash()
            try standby.sql("SELECT pg_promote()")
            try await inbox.wait { $0.liveExtents.count >= 2 }
            let after = try await driver.append(writer.batch("b", after: before), to: stream).last
            // Its log is unlogged and so began anew; it doesn't reuse the places of the other one.
            #expect(after.epoch.rawValue > before.epoch.rawValue)
            #expect(try await inbox.wait { $0.records.count == 2 }.texts == ["a", "b"])
        }
    }
}
