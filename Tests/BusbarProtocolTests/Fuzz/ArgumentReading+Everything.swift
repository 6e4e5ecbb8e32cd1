import BusbarProtocol
import FoundationEssentials

extension ArgumentReading {
    /// Asks for the next argument as one type after the other: only that none of them traps is of interest.
    func tryEverything() {
        func attempt(_ type: (some Decodable).Type) {
            var copy = self
            _ = try? copy.next(type)
        }
        attempt(String.self)
        attempt(Bool.self)
        attempt(Int.self)
        attempt(Double.self)
        attempt(UInt8.self)
        attempt(Float?.self)
        attempt([String].self)
        attempt([[Int]].self)
        attempt([String: JSONNode].self)
        attempt([Int: JSONNode].self)
        attempt(Sample.self)
        attempt([Sample].self)
        attempt(Data.self)
        attempt(Date.self)
        attempt(UUID.self)
        attempt(URL.self)
        attempt(Decimal.self)
        attempt(JSONNode.self)
    }
}

/// A type whose members are of many kinds.
private struct Sample: Codable {
    var name: String?
    var a: [Int]?
    var next: [Sample]?
    var node: JSONNode?
    var at: Date?
    var bytes: Data?
}
