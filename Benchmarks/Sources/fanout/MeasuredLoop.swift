import CAllocations
import CLoad
import Dispatch
import NIOCore
import NIOPosix

/// What a block of batches cost the event loop.
struct Sample {
    /// CPU time of the loop's thread.
    var cpuNanoseconds: UInt64 = 0
    /// From the release of the loop until the last client has the last byte.
    var wallNanoseconds: UInt64 = 0
    /// Allocations on the loop's thread.
    var allocations: UInt64 = 0
    var deliveries: UInt64 = 0
    var batches: UInt64 = 0
    var received = CLoad.received()
}

/// One event loop that can be held still, so that it finds everything a batch has to say at once, and whose thread's
/// CPU time and allocations are read by itself, just before and after.
final class MeasuredLoop {
    private let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)

    var eventLoop: any EventLoop { self.group.any() }
    var eventLoops: MultiThreadedEventLoopGroup { self.group }

    func block(_ contender: Contender, batches: Int, messages: Int) async throws -> Sample {
        var sample = Sample()
        let before = contender.crowd.received
        for _ in 0..<batches {
            try await self.measure(contender, messages: messages, into: &sample)
        }
        let after = contender.crowd.received
        sample.received.messages = after.messages - before.messages
        sample.received.bytes = after.bytes - before.bytes
        sample.received.reads = after.reads - before.reads
        return sample
    }

    private func measure(_ contender: Contender, messages: Int, into sample: inout Sample) async throws {
        let deliveries = UInt64(messages * contender.crowd.connections)
        let expected = contender.crowd.received.messages + deliveries
        let gate = DispatchSemaphore(value: 0)
        let started = self.eventLoop.submit {
            gate.wait()
            allocations_begin()
            return thread_cpu()
        }
        do {
            defer { gate.signal() }
            try await contender.start()
            // Why: what was published may still be on its way to the loop; it is to find all of it.
            try await Task.sleep(for: .milliseconds(2))
        }
        let released = monotonic_now()
        try await contender.crowd.waitForMessages(expected)
        sample.wallNanoseconds += monotonic_now() - released
        let ended = try await self.eventLoop.submit { (cpu: thread_cpu(), allocations: allocations_end()) }.get()
        sample.cpuNanoseconds += ended.cpu - (try await started.get())
        sample.allocations += ended.allocations
        sample.deliveries += deliveries
        sample.batches += 1
    }

    func stop() async throws {
        try await self.group.shutdownGracefully()
    }
}
