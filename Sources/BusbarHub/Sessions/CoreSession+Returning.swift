import Busbar
import BusbarProtocol
import Metrics
import NIOCore

/// Stateful reconnect: a client whose link broke comes back to its connection over a new one, and both sides repeat what the other
/// may have missed.
extension CoreSession {
    /// Begins to number and to keep messages.
    func keepForReturn() -> Resumption {
        let limitBytes = self.runtime.configuration.core.statefulReconnectBufferBytes
        let resumption = Resumption(over: self.outlet, limitBytes: limitBytes)
        self.resumption = resumption
        let place = CoreReturn(hub: self.hub.name, door: self.door, eventLoop: self.loop.eventLoop)
        self.runtime.services.coreReturns.add(self.context.id, place)
        return resumption
    }

    /// False if there is nothing to wait with, or no room.
    func beginAbsence() -> Bool {
        guard self.resumption != nil, !self.isAbsent else { return self.isAbsent }
        self.isAbsent = self.runtime.services.coreReturns.beginAbsence()
        return self.isAbsent
    }

    func endAbsence() {
        guard self.isAbsent else { return }
        self.isAbsent = false
        self.runtime.services.coreReturns.endAbsence()
    }

    /// The client can't come back any more.
    func forgetReturn() {
        self.endAbsence()
        if self.resumption != nil {
            self.runtime.services.coreReturns.remove(self.context.id)
            self.resumption = nil
        }
        self.lease = nil
    }

    /// The link has broken, and the client may come back over another.
    func clientWentAway() {
        self.resumption?.linkBroke()
        self.forgetInput()
    }

    /// Goes on over another link, in place of the one that there was. False if there is nothing to come back to.
    func comeBack(over link: any Outlet) -> Bool {
        guard let resumption = self.resumption, self.lifecycle.cameBack(now: self.loop.eventLoop.now) else {
            return false
        }
        self.endAbsence()
        let former = self.outlet
        self.outlet = link
        self.isOnFirstLink = false
        self.forgetInput()
        self.isPaused = false
        former?.end(.abandon)
        self.runtime.services.metrics.returned.increment()
        resumption.linkCameBack(link) { self.frame(of: .sequence($0)) }
        if self.work.isFull { self.pause() }
        return true
    }

    /// Whether this is the link that the connection goes over at present.
    func speaks(over link: any Outlet) -> Bool { self.outlet === link }

    /// Why: the client sends again what has not been acknowledged, from the beginning of a message.
    private func forgetInput() {
        self.input = ByteBuffer()
        self.splitter = RecordSplitter()
    }

    /// Whether a message is to be carried out: it isn't a repeat, and it isn't about the numbers themselves.
    func counts(_ message: CoreMessage, _ resumption: Resumption) -> Bool {
        switch message {
        case .ack(let number):
            if !resumption.acknowledged(upTo: number) {
                self.end(.protocolViolated("Message \(number) is acknowledged and was never sent."))
            }
            return false
        case .sequence(let number):
            if !resumption.reception.sequenceReceived(number) {
                let text = "Sequence ID greater than amount of messages we've received."
                self.end(.protocolViolated("\(text) It is \(number)."))
            }
            return false
        case .invocation, .streamInvocation, .streamItem, .completion, .cancelInvocation:
            return resumption.reception.isNew()
        case .ping, .close, .unknown:
            return true
        }
    }

    /// Says how far the client's messages have come. Called about once a second.
    func acknowledge() {
        guard let resumption = self.resumption, self.outlet != nil,
            let number = resumption.reception.takeAcknowledgement()
        else { return }
        self.signal(self.frame(of: .ack(number)))
    }

    private func frame(of message: CoreMessage) -> ByteBuffer {
        let language = self.lifecycle.language
        var record = ByteBuffer()
        language.write(message, into: &record)
        return CoreFrames.frame(record, language.opcode)
    }
}

extension HubRuntime {
    /// The way back to a core connection of this node that its client may come back to; nil if there is none.
    package func coreReturn(to id: String, hub: String) -> CoreReturn? {
        self.services.coreReturns.place(of: id, hub: hub)
    }

    /// Whether a core connection that was negotiated is another node's, or was the one's that is gone.
    ///
    /// False, too, while the broker is away, and nobody can be asked.
    package func isElsewhere(_ id: String) async -> Bool {
        guard !self.services.connections.isHere(id), self.services.bus.isLive(for: HubTopics.owner(of: id)) else {
            return false
        }
        do throws(HubSendError) {
            let answer = try await self.services.nodes.askOwner(
                of: id, kind: NodeCall.ping.rawValue, timeout: Self.searchTimeout)
            return answer != nil
        } catch {
            return error.code == .nodeGone
        }
    }

    private static var searchTimeout: Duration { .seconds(5) }
}
