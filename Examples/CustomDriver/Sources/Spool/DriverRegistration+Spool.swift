public import BusbarDriver

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

extension DriverRegistration {
    /// `spool:///directory`, with `retain=RECORDS`: what a program adds to its ``DriverRegistry``.
    public static let spool = DriverRegistration(
        name: "Spool",
        schemes: ["spool"],
        example: "spool:///tmp/busbar-spool",
        summary: "files in a directory that the nodes of one machine share: no broker process at all",
        reach: .broker,
        retentionKey: "retain",
        remove: { url, app throws(DriverError) in
            guard let options = try? SpoolOptions(url, app: app) else { return }
            options.removeAll()
        },
        make: { url, app throws(BackplaneURLError) in SpoolDriver(try SpoolOptions(url, app: app)) }
    )
}

/// What a URL says.
struct SpoolOptions: Sendable {
    let directory: String
    let retainedCount: Int

    /// - Throws: ``BackplaneURLError`` that names the key, the value and what would be right.
    init(_ url: BackplaneURL, app: String) throws(BackplaneURLError) {
        let halves = url.text.split(separator: "?", maxSplits: 1)
        let path = halves[0].dropFirst("spool://".count)
        guard halves[0].hasPrefix("spool:///"), path.utf8.count < 1_000 else {
            throw BackplaneURLError(key: "url", value: "\(url)", remedy: "spool:///directory, of up to 1000 bytes")
        }
        let isName = app.utf8.allSatisfy { $0 > 0x20 && $0 != UInt8(ascii: "/") && $0 < 0x7F }
        guard isName, !app.hasPrefix("."), (1...100).contains(app.utf8.count) else {
            throw BackplaneURLError(
                key: "app", value: app, remedy: "a name of up to 100 bytes that a directory may have")
        }
        var retained = 10_000
        for pair in (halves.count > 1 ? halves[1] : "").split(separator: "&") {
            let (key, value) = (String(pair.prefix { $0 != "=" }), String(pair.drop { $0 != "=" }.dropFirst()))
            guard !BackplaneURL.commonKeys.contains(key) else { continue }
            guard key == "retain" else {
                throw BackplaneURLError(key: key, value: "…", remedy: "retain, app or streams")
            }
            guard let count = Int(value), (1...1_000_000).contains(count) else {
                throw BackplaneURLError(key: key, value: value, remedy: "a number from 1 to 1000000")
            }
            retained = count
        }
        self.directory = "\(path)/\(app)"
        self.retainedCount = retained
    }

    func path(of stream: StreamID) -> String { "\(self.directory)/\(stream.index)" }

    /// Every file of the app, and then its directory.
    func removeAll() {
        for index in 0..<UInt16(BackplaneURL.largestStreamCount) {
            for suffix in [".log", ".lock", ".new"] { unlink(self.path(of: StreamID(index)) + suffix) }
        }
        rmdir(self.directory)
    }
}
