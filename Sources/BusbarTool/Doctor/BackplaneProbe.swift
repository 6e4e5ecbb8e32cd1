import BusbarDriver
import NIOCore

/// Uses a driver for a moment as a node would: connect, append, hear it again, read it back.
enum BackplaneProbe {
    /// A stream that no bus has: they are numbered from 0 and there are at most 256.
    private static let stream = StreamID(.max)
    private static let rounds = 20
    private static let limit = Duration.seconds(10)

    private struct HearingInbox: Inbox {
        let events: AsyncStream<DriverEvent>.Continuation

        func receive(_ event: DriverEvent) { self.events.yield(event) }
    }

    private enum Outcome {
        case findings([DriverFinding])
        case driverEnded(DriverError)
        case late
    }

    /// What a few seconds of use show; never longer than ten.
    static func findings(of driver: any BackplaneDriver) async -> [DriverFinding] {
        let (stream, events) = AsyncStream.makeStream(of: DriverEvent.self, bufferingPolicy: .bufferingNewest(1_024))
        let outcome = await withTaskGroup(of: Outcome?.self) { group in
            group.addTask {
                do throws(DriverError) {
                    try await driver.run(following: [Self.stream], delivering: HearingInbox(events: events))
                    return nil
                } catch {
                    return .driverEnded(error)
                }
            }
            group.addTask { .findings(await Self.use(driver, hearing: stream)) }
            group.addTask {
                do { try await Task.sleep(for: Self.limit) } catch { return nil }
                return .late
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
        switch outcome {
        case .findings(let findings): return findings
        case .driverEnded(let error): return [Self.wrong("connection", error)]
        case .late, nil:
            return [
                DriverFinding(
                    .wrong, "connection", "no answer within \(Self.limit)",
                    remedy: "see whether the broker is overloaded or paused")
            ]
        }
    }

    private static func use(
        _ driver: any BackplaneDriver, hearing events: AsyncStream<DriverEvent>
    ) async -> [DriverFinding] {
        let clock = ContinuousClock()
        let began = clock.now
        var hearing = events.makeAsyncIterator()
        waiting: while true {
            switch await hearing.next() {
            case .live: break waiting
            case .interrupted(let error): return [Self.wrong("connection", error)]
            case .records: continue
            case nil: return []
            }
        }
        var findings = [
            DriverFinding(
                .good, "connection", "live after \(Self.text(clock.now - began)), with all rights a node needs")
        ]
        do throws(DriverError) {
            let node = UInt64.random(in: 1...UInt64.max)
            var times: [Duration] = []
            var last: Position?
            for round in 1...Self.rounds {
                let start = clock.now
                let record = Record(
                    key: RecordKey(node: node, incarnation: 1, sequence: UInt64(round)),
                    bytes: ByteBuffer(string: "doctor"))
                last = try await driver.append(Batch(records: [record], highWater: last), to: Self.stream).last
                guard let place = last, await Self.hears(place, &hearing) else { break }
                times.append(clock.now - start)
            }
            guard times.count == Self.rounds, let last else {
                return findings + [
                    DriverFinding(
                        .wrong, "delivery", "a record was stored and not delivered", remedy: "see the broker's log")
                ]
            }
            let page = try await driver.read(Self.stream, after: Offset(last.offset.rawValue - 1), limitBytes: 1_024)
            findings.append(
                page.records.first?.offset == last.offset
                    ? DriverFinding(.good, "replay", "a stored record was read back")
                    : DriverFinding(.wrong, "replay", "a stored record could not be read back"))
            times.sort()
            findings.append(
                DriverFinding(
                    .good, "round trip",
                    "stored and delivered in \(Self.text(times[times.count / 2])) (median of \(times.count)), "
                        + "at most \(Self.text(times[times.count - 1]))"))
        } catch {
            findings.append(Self.wrong(error.operation.description, error))
        }
        return findings
    }

    private static func hears(_ place: Position, _ events: inout AsyncStream<DriverEvent>.Iterator) async -> Bool {
        while let event = await events.next(isolation: #isolation) {
            switch event {
            case .records(_, let epoch, let records):
                if epoch == place.epoch, records.contains(where: { $0.offset == place.offset }) { return true }
            case .interrupted: return false
            case .live: continue
            }
        }
        return false
    }

    private static func wrong(_ subject: String, _ error: DriverError) -> DriverFinding {
        let remedy =
            switch error.code {
            case .unreachable, .timedOut:
                "start the broker, or correct host and port; see whether a firewall is between"
            case .unauthorized: "correct user and password, or give this user the rights that are named"
            case .overloaded: "give the broker room, or name the server that takes writes"
            default: "see the broker's log"
            }
        return DriverFinding(.wrong, subject, error.detail, remedy: remedy)
    }

    /// In milliseconds with two places.
    private static func text(_ duration: Duration) -> String {
        let hundredths = Int(duration / .microseconds(10))
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) ms"
    }
}
