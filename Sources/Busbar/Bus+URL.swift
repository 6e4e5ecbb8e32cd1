public import BusbarDriver
public import Logging

extension Bus {
    /// A bus on the broker that a URL names, with a driver out of `drivers`.
    ///
    /// App and number of streams that the URL names go before those of `configuration`.
    /// - Throws: ``BackplaneURLError``, which names what is wrong in the URL and what would be right; never a secret.
    public convenience init(
        _ url: BackplaneURL, drivers: DriverRegistry, configuration: BusConfiguration = .init(), logger: Logger
    ) throws(BackplaneURLError) {
        var configuration = configuration
        configuration.app = url.app ?? configuration.app
        configuration.streams = url.streams ?? configuration.streams
        let driver = try drivers.makeDriver(for: url, app: configuration.app)
        self.init(driver: driver, configuration: configuration, logger: logger)
    }
}
