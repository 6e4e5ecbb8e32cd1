package import BusbarDriver
import NIOCore

/// The names of one stream's keys and channel.
///
/// All carry the hash tag `{app}`, so that a node of a cluster holds all of an app, and begin with `busbar:{app}:`, so that
/// an ACL user can be limited to `~busbar:{app}:*` and `&busbar:{app}:*`.
package struct StreamNames: Hashable, Sendable {
    package let log: String
    package let head: String
    /// Why the database is in it: Redis's channels know no databases, and the same app in another one is another app.
    package let channel: String

    package init(app: String, database: Int, stream: StreamID) {
        let prefix = "busbar:{\(app)}:\(stream.index):"
        self.log = prefix + "log"
        self.head = prefix + "head"
        self.channel = prefix + "live:\(database)"
    }

    /// The channel on which a driver hears its own probes.
    package static func probeChannel(app: String, driver: UInt64) -> String {
        "busbar:{\(app)}:probe:" + String(driver, radix: 16)
    }
}
