import BusbarDriver
import Dispatch
import Synchronization

/// Runs cases one after the other, each on an app of its own and under its deadline.
public struct ConformanceRunner: Sendable {
    private let driver: any DriverUnderTest
    private let patience: Double

    /// - Parameter patience: factor for all deadlines; more than 1 for a slow broker.
    public init(_ driver: any DriverUnderTest, patience: Double = 1) {
        self.driver = driver
        self.patience = patience
    }

    var driverName: String { self.driver.name }

    /// Runs `cases` and hands out each result as it comes. Cancelling the task fails the case under way and ends the
    /// run.
    public func run(
        _ cases: [ConformanceCase], reporting report: (ConformanceResult) -> Void = { _ in }
    ) async -> [ConformanceResult] {
        var results: [ConformanceResult] = []
        for conformanceCase in cases {
            guard !Task.isCancelled else { break }
            let result = await self.run(conformanceCase)
            results.append(result)
            report(result)
        }
        return results
    }

    public func run(_ conformanceCase: ConformanceCase) async -> ConformanceResult {
        let start = ContinuousClock.now
        let outcome = await self.outcome(of: conformanceCase)
        return ConformanceResult(conformanceCase, outcome, after: .now - start)
    }

    /// Time for a case whose deadline has passed to put things back before the next one begins.
    private static let grace = Duration.seconds(3)

    private func outcome(of conformanceCase: ConformanceCase) async -> ConformanceResult.Outcome {
        let progress = Progress()
        let deadline = conformanceCase.deadline * self.patience
        let race = Race<ConformanceResult.Outcome>()
        let driver = self.driver
        // Why: a driver may hang where no cancellation reaches it. Only a task that can be abandoned, on threads of its
        // own, keeps the kit alive then; otherwise it ends before this function does.
        let work = Task(executorPreference: CaseThreads()) {
            race.finish(await Self.perform(conformanceCase, on: driver, progress))
        }
        await withTaskCancellationHandler {
            await race.wait(atMost: deadline)
        } onCancel: {
            work.cancel()
        }
        if let outcome = race.outcome { return outcome }
        let trouble = progress.trouble.map { "; the last interruption was at \($0)" } ?? ""
        let seen = "\(deadline) passed while \(progress.doing)\(trouble)"
        work.cancel()
        await race.wait(atMost: Self.grace)
        let remark = race.outcome == nil ? "; it doesn't even end when it is cancelled" : ""
        return .failed(seen: seen + remark)
    }

    private static func perform(
        _ conformanceCase: ConformanceCase, on driver: any DriverUnderTest, _ progress: Progress
    ) async -> ConformanceResult.Outcome {
        do {
            progress.isDoing("making an app")
            let app = try await driver.makeApp(conformanceCase.options)
            progress.isDoing("making a node")
            let guarantees: Guarantees
            do { guarantees = try await app.makeNode().guarantees } catch {
                await app.remove()
                throw error
            }
            let reasons = conformanceCase.needs.compactMap {
                $0.reasonToSkip(guarantees, of: driver, faults: app.faults?.offered ?? [])
            }
            if let reason = reasons.first {
                await app.remove()
                return .skipped(reason: reason)
            }
            let bench = Bench(driver: driver, app: app, guarantees: guarantees, progress: progress)
            let result: Result<Void, any Error>
            do { result = .success(try await conformanceCase.body(bench)) } catch { result = .failure(error) }
            let doing = progress.doing
            progress.isDoing("removing the app")
            await app.remove()
            progress.isDoing(doing)
            try result.get()
            return .passed(note: progress.note)
        } catch let broken as LawBroken {
            return .failed(seen: broken.seen)
        } catch let missing as NotApplicable {
            return .skipped(reason: missing.reason)
        } catch {
            return .failed(seen: "\(error) while \(progress.doing)")
        }
    }
}

/// What a case is doing, for the report should it never come back.
final class Progress: Sendable {
    private struct State {
        var doing = "starting"
        var note: String?
        var trouble: String?
    }

    private let state = Mutex(State())

    var doing: String { self.state.withLock { $0.doing } }
    var note: String? { self.state.withLock { $0.note } }
    /// The last interruption that a driver told of.
    var trouble: String? { self.state.withLock { $0.trouble } }

    func isDoing(_ what: String) { self.state.withLock { $0.doing = what } }
    func note(_ text: String) { self.state.withLock { $0.note = text } }
    func trouble(_ text: String) { self.state.withLock { $0.trouble = text } }
}

/// Something that may finish, awaited no longer than a while.
private final class Race<Outcome: Sendable>: Sendable {
    private struct State {
        var outcome: Outcome?
        var hasGivenUp = false
        var waiter: CheckedContinuation<Void, Never>?
    }

    private let state = Mutex(State())

    var outcome: Outcome? { self.state.withLock { $0.outcome } }

    func finish(_ outcome: Outcome) {
        let waiter = self.state.withLock { state in
            state.outcome = outcome
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// One at a time. The clock ticks even while the caller's task is cancelled.
    func wait(atMost duration: Duration) async {
        self.state.withLock { $0.hasGivenUp = false }
        let timer = DispatchSource.makeTimerSource()
        timer.setEventHandler { self.giveUp() }
        let (seconds, attoseconds) = duration.components
        timer.schedule(deadline: .now() + Double(seconds) + Double(attoseconds) / 1e18)
        timer.resume()
        await withCheckedContinuation { continuation in
            let isOver = self.state.withLock { state in
                let isOver = state.outcome != nil || state.hasGivenUp
                if !isOver { state.waiter = continuation }
                return isOver
            }
            if isOver { continuation.resume() }
        }
        timer.cancel()
    }

    private func giveUp() {
        let waiter = self.state.withLock { state in
            state.hasGivenUp = true
            return state.waiter.take()
        }
        waiter?.resume()
    }
}

/// Threads for one case: a driver that blocks them costs nobody else.
private final class CaseThreads: TaskExecutor {
    private let queue = DispatchQueue(label: "busbar.conformance", attributes: .concurrent)

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        self.queue.async { job.runSynchronously(on: self.asUnownedTaskExecutor()) }
    }
}
