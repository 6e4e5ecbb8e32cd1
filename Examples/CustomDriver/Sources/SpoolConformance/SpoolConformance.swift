import BusbarConformance
import BusbarDriver
import BusbarSpool
import Foundation

/// Puts the driver before the conformance kit: `spool-conformance spool:///tmp/spool [FAULT COMMAND]`.
@main
struct SpoolConformance {
    static func main() async throws {
        let arguments = CommandLine.arguments.dropFirst()
        let url = try BackplaneURL(arguments.first ?? "spool://" + NSTemporaryDirectory() + "busbar-spool")
        let faults = arguments.dropFirst().first.map { FaultCommand($0) }
        let driver = try RegisteredDriver(at: url, among: DriverRegistry([.spool]), faults: faults)
        let cases = ConformanceKit.cases(upTo: faults == nil ? .a : .b)
        exit(
            await ConformanceRun(of: driver, cases: cases).run {
                FileHandle.standardOutput.write(Data(($0 + "\n").utf8))
            })
    }
}
