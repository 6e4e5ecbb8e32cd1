import BusbarCertification
import BusbarConformance
import BusbarDriver
import BusbarSpool
import Foundation
import Testing

@Suite("The example of a driver outside the tree", .serialized)
struct SpoolConformanceTests {
    @Test("it keeps every law that files can be put to the test with", .timeLimit(.minutes(5)))
    func conformance() async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "busbar-spool-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: directory) }
        let path = directory.path()
        // A whole fault command: what it doesn't know it answers with 64. An older log is put in place in one step: written over
        // one that somebody has begun meanwhile, it would be neither.
        let faults = FaultCommand(
            """
            fault() {
                case $1 in
                wipe) rm -f \(path)/*/*.log ;;
                save) rm -rf \(path).older; cp -a \(path) \(path).older ;;
                restore-older)
                    rm -rf \(path).back
                    cp -a \(path).older \(path).back
                    for log in \(path)/*/*.log; do
                        older=\(path).back${log#\(path)}
                        if [ -e "$older" ]; then mv -f "$older" "$log"; else rm -f "$log"; fi
                    done ;;
                *) return 64 ;;
                esac
            }
            fault
            """)
        defer { for state in [".older", ".back"] { try? FileManager.default.removeItem(atPath: path + state) } }
        let spool = try RegisteredDriver(
            at: BackplaneURL("spool://\(path)"), among: DriverRegistry([.spool]), faults: faults)
        let laws = ConformanceKit.cases(upTo: .b)
        let complaints = await Certification.complaints(
            about: spool, running: laws,
            expectingSkips: [
                "broker.away", "broker.down-at-start", "broker.kill-after-ack", "broker.pause", "broker.refuses",
                "broker.refuses-ledger", "broker.restart-ledger", "dup.ambiguous-publish", "link.cut", "link.flap",
                "link.half-open", "link.ledger", "publish.during-outage", "resubscribe.complete",
            ])
        #expect(complaints.isEmpty)
    }

    @Test(
        "a URL that won't do is refused with what would",
        arguments: ["spool:x", "spool:///d?retain=0", "spool:///d?x=1"])
    func wrongURLs(text: String) throws {
        let (url, drivers) = (try BackplaneURL(text), try DriverRegistry([.spool]))
        #expect(throws: BackplaneURLError.self) { try drivers.makeDriver(for: url, app: "test") }
    }
}
