import BusbarDriver
import BusbarMemory

/// A driver of the tests that does one thing otherwise than the log in memory it stands on.
protocol MemoryBacked: BackplaneDriver {
    var inner: MemoryDriver { get }
}

extension MemoryBacked {
    var guarantees: Guarantees {
        var guarantees = self.inner.guarantees
        guarantees.appendsAtOnce = false
        return guarantees
    }

    func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {
        try await self.inner.run(following: streams, delivering: inbox)
    }

    func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {
        try await self.inner.read(stream, after: offset, limitBytes: limitBytes)
    }

    func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {
        try await self.inner.extent(of: stream)
    }
}
