package import BusbarProtocol

/// The members of a classic client's hub state, and which of them a call has changed.
package struct StateBag: Sendable {
    /// What came with the call, read when the first member is asked for.
    private var original: JSONValueText?
    private var members: [String: JSONNode] = [:]
    /// Members that were set, in the order of the first time.
    private var setNames: [String] = []
    private var setValues: [String: JSONNode] = [:]
    /// Why a member could not be set: the first time that happened.
    package private(set) var problem: String?

    /// - Parameter state: the object that came with the call; nil if none did.
    package init(_ state: JSONValueText?) {
        self.original = state
    }

    /// The member as the call sees it: what it set itself, else what the client sent. Names are compared exactly.
    package mutating func value(of name: String) -> JSONNode? {
        if let value = self.setValues[name] { return value }
        self.readOriginal()
        return self.members[name]
    }

    package mutating func set(_ name: String, to value: JSONNode) {
        if self.setValues.updateValue(value, forKey: name) == nil { self.setNames.append(name) }
    }

    /// A member was to become something that JSON has no text for.
    package mutating func failed(to set: String, _ error: JSONCodingError) {
        self.problem = self.problem ?? "the state member '\(set)' can't be written as JSON: \(error.detail)"
    }

    /// What was set and differs from what the client sent, as an object; nil if nothing does.
    package mutating func changes() -> JSONValueText? {
        guard !self.setNames.isEmpty else { return nil }
        self.readOriginal()
        let changed = self.setNames.filter { self.members[$0] != self.setValues[$0] }
        return changed.isEmpty ? nil : self.text(of: changed)
    }

    /// Why member by member: their order is the order in which they were set.
    private mutating func text(of names: [String]) -> JSONValueText? {
        do throws(JSONCodingError) {
            return try JSONValueText(members: names.map { ($0, self.setValues[$0] ?? .null) })
        } catch {
            self.failed(to: names[0], error)
            return nil
        }
    }

    private mutating func readOriginal() {
        guard let original = self.original.take() else { return }
        self.members = (try? original.decode([String: JSONNode].self)) ?? [:]
    }
}
