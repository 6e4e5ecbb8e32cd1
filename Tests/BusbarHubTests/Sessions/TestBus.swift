import Busbar
import BusbarDriver
import Logging
extension Room { static func makeBus(_ l: Logger) -> Bus { Bus(driver: Null(), logger: l) } }
struct Null: BackplaneDriver {
    var guarantees: Guarantees { Guarantees(counting: .withoutHoles, durability: .process, largestRecordBytes: 1, replays: true, refusesRepeats: true, recognisesRewind: true) }
    func run(following streams: [StreamID], delivering inbox: any Inbox) async throws(DriverError) {}
    func append(_ batch: Batch, to stream: StreamID) async throws(DriverError) -> Receipt { throw DriverError(.closed, during: "", recovery: .giveUp, detail: "") }
    func read(_ stream: StreamID, after offset: Offset, limitBytes: Int) async throws(DriverError) -> Page {throw DriverError(.closed, during: "", recovery: .giveUp, detail: "") }
    func extent(of stream: StreamID) async throws(DriverError) -> StreamExtent {throw DriverError(.closed, during: "", recovery: .giveUp, detail: "") }
}
