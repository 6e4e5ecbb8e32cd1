import BusbarDriver
import BusbarMemory
import BusbarRedis
import Testing

@Suite("The registry of drivers")
struct DriverRegistryTests {
    private static func pigeon(_ schemes: String...) -> DriverRegistration {
        DriverRegistration(
            name: "Pigeon", schemes: schemes, example: "pigeon:loft", summary: "birds", reach: .broker
        ) { url, app throws(BackplaneURLError) in
            guard app == "chat" else { throw BackplaneURLError(key: "app", value: app, remedy: "chat") }
            return MemoryDriver()
        }
    }

    @Test("a driver of an embedder's own is chosen by its scheme and told the app")
    func ownDriver() throws {
        let drivers = try DriverRegistry([.memory, Self.pigeon("pigeon", "pigeons")])
        #expect(drivers.schemes == ["memory", "pigeon", "pigeons"])
        #expect(try drivers.registration(for: BackplaneURL("Pigeons:x")).name == "Pigeon")
        #expect(try drivers.makeDriver(for: BackplaneURL("pigeon:x"), app: "chat") is MemoryDriver)
        #expect(throws: BackplaneURLError(key: "app", value: "other", remedy: "chat")) {
            try drivers.makeDriver(for: BackplaneURL("pigeon:x"), app: "other")
        }
    }

    @Test("an unknown scheme is answered with those there are")
    func unknownScheme() throws {
        let drivers = try DriverRegistry([.memory, .redis])
        let error = try #require(throws: BackplaneURLError.self) {
            try drivers.makeDriver(for: BackplaneURL("carrier://x:secret@h"), app: "chat")
        }
        #expect(error.value == "carrier")
        #expect(error.remedy.contains("memory:") && error.remedy.contains("redis:"))
        #expect(!error.description.contains("secret"))
    }

    @Test("a scheme belongs to one driver, and a driver has at least one")
    func schemesAreUnique() throws {
        var drivers = try DriverRegistry([.memory])
        #expect(throws: BackplaneURLError.self) { try drivers.register(Self.pigeon("pigeon", "memory")) }
        #expect(throws: BackplaneURLError.self) { try drivers.register(Self.pigeon()) }
        #expect(throws: BackplaneURLError.self) { try drivers.register(Self.pigeon("pigeon", "pigeon")) }
        #expect(drivers.schemes == ["memory"])
    }

    @Test("the example of every driver makes that driver", arguments: ["Memory", "Redis"])
    func examplesWork(name: String) throws {
        let drivers = try DriverRegistry([.memory, .redis])
        let registration = try #require(drivers.registrations.first { $0.name == name })
        _ = try drivers.makeDriver(for: BackplaneURL(registration.example), app: "chat")
    }

    @Test(
        "a driver's own options are checked when it is made",
        arguments: ["memory:x", "memory:?size=1", "redis://h:0", "redis://h?retained=1", "rediss://h"]
    )
    func options(text: String) throws {
        let drivers = try DriverRegistry([.memory, .redis])
        #expect(throws: BackplaneURLError.self) { try drivers.makeDriver(for: BackplaneURL(text), app: "chat") }
    }
}
