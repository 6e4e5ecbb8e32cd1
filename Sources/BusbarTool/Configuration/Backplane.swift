import Busbar
import BusbarDriver
import BusbarMemory

#if PostgreSQL
import BusbarPostgreSQL
#endif

#if RabbitMQ
import BusbarRabbitMQ
#endif

#if Redis
import BusbarRedis
#endif

extension DriverRegistry {
    /// The drivers of this build: the only place that names them.
    static func builtIn() throws -> Self {
        var drivers = try Self([.memory])
        #if Redis
        try drivers.register(.redis)
        #endif
        #if PostgreSQL
        try drivers.register(.postgreSQL)
        #endif
        #if RabbitMQ
        try drivers.register(.rabbitMQ)
        #endif
        return drivers
    }
}

/// The broker that a run uses, as the settings name it.
struct Backplane {
    let url: BackplaneURL
    let registration: DriverRegistration
    let drivers: DriverRegistry
    /// Namespace, and how many streams its topics are spread over: from the URL or from settings of their own.
    let app: String
    let streams: Int

    /// - Throws: ``ToolError`` with status 64 that names the key, the value and what would be right; never a secret.
    init(_ settings: Settings) throws {
        self.drivers = try .builtIn()
        do throws(BackplaneURLError) {
            self.url = try BackplaneURL(settings.text(.backplane) ?? "")
            self.registration = try self.drivers.registration(for: self.url)
        } catch {
            throw Self.usage(error)
        }
        self.app = try Self.choose(self.url.app, over: .app, in: settings) ?? ""
        self.streams =
            try Self.choose(self.url.streams.map(String.init), over: .streams, in: settings).flatMap { Int($0) } ?? 1
        // Why here: a mistake in an option should be told before anything is started.
        _ = try self.makeDriver()
        do throws(BusError) {
            try self.busConfiguration(key: nil).validate()
        } catch {
            throw ToolError.usage("backplane: \(error.detail)")
        }
    }

    func makeDriver() throws -> any BackplaneDriver {
        do throws(BackplaneURLError) {
            return try self.drivers.makeDriver(for: self.url, app: self.app)
        } catch {
            throw Self.usage(error)
        }
    }

    /// A bus's configuration with `key` as the farm's.
    func busConfiguration(key: FarmKey?) -> BusConfiguration {
        var bus = BusConfiguration()
        bus.app = self.app
        bus.streams = self.streams
        bus.farmKey = key
        return bus
    }

    /// The key that the settings name, or nil.
    static func farmKey(_ settings: Settings) throws -> FarmKey? {
        guard let secret = settings.text(.key) else { return nil }
        guard let key = FarmKey(secret: secret) else {
            throw ToolError.usage("key must have at least \(FarmKey.smallestSecretBytes) bytes")
        }
        return key
    }

    /// What the URL says, else what the setting says; they must not contradict each other.
    private static func choose(_ fromURL: String?, over setting: Setting, in settings: Settings) throws -> String? {
        guard let fromURL else { return settings.text(setting) }
        let entry = settings.entries.first { $0.setting.key == setting.key }
        guard let entry, entry.origin != .preset, entry.value != fromURL else { return fromURL }
        throw ToolError.usage(
            "\(setting.key) is '\(fromURL)' in the backplane's URL and '\(entry.value ?? "")' (\(entry.origin)); "
                + "say it once"
        )
    }

    static func usage(_ error: BackplaneURLError) -> ToolError { .usage("backplane: \(error)") }
}
