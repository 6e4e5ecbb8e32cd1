package import BusbarProtocol
import NIOCore

/// One method that clients may call, under the name they call it by.
///
/// ```swift
/// static var methods: [HubMethod<Self>] {
///     [
///         HubMethod("send", send),                                     // func send(text: String) async throws
///         HubMethod("add", add),                                       // func add(_ a: Int, _ b: Int) -> Int
///         HubMethod("who", whoAmI),                                    // func whoAmI() -> Profile
///         HubMethod("echo") { (hub: Self, value: JSONNode) in value }, // a closure does as well
///     ]
/// }
/// ```
///
/// Any mixture of `async` and `throws` will do. Parameters are `Decodable`, a result is `Encodable`; a `JSONNode`
/// takes or returns any JSON untouched. Clients compare names ignoring case.
///
/// A ``ProgressReporter`` among the parameters is no argument of the call.
///
/// Several methods may share a name if they differ in how many parameters they take: a call goes to the one that takes
/// as many as it brings. Of two that take equally many neither can be called.
public struct HubMethod<H: Hub>: Sendable {
    let name: String
    let parameterCount: Int

    /// What a page calls the method; nil: the name with its first letter in lower case.
    private(set) var scriptName: String?

    /// What the caller must be besides what the hub asks for.
    private(set) var requirements: [Requirement] = []

    /// As in `send(p1:String):Void`: what a client reads when its call fits no method.
    let signature: String

    /// Makes the hub once the arguments are known to fit, and calls it. Nothing is thrown: every end is an outcome.
    let invoke: @Sendable (CallArguments, ArgumentRules, HubFactory<H>, HubCall) async -> InvocationOutcome

    /// A method with a result. `String?` and the like return null as nothing does.
    public init<each Parameter: Decodable & Sendable, Result: Encodable & Sendable>(
        _ name: String,
        _ method: @escaping @Sendable (H) -> (repeat each Parameter) async throws -> Result
    ) {
        self.init(name) { (hub: H, values: repeat each Parameter) in try await method(hub)(repeat each values) }
    }

    /// A method without a result.
    public init<each Parameter: Decodable & Sendable>(
        _ name: String,
        _ method: @escaping @Sendable (H) -> (repeat each Parameter) async throws -> Void
    ) {
        self.init(name) { (hub: H, values: repeat each Parameter) in try await method(hub)(repeat each values) }
    }

    /// A closure with a result; its first parameter is the hub.
    public init<each Parameter: Decodable & Sendable, Result: Encodable & Sendable>(
        _ name: String,
        _ method: @escaping @Sendable (H, repeat each Parameter) async throws -> Result
    ) {
        let shape = ParameterShape(repeat (each Parameter).self)
        self.name = name
        self.parameterCount = shape.count
        self.signature = shape.signature(name, returning: "\(Result.self)")
        self.invoke = { arguments, rules, factory, call in
            do throws(HubFailure) {
                let values = try arguments.read(repeat (each Parameter).self, rules: rules, for: call, shape)
                let hub = try await factory.make(call)
                let result: Result
                do {
                    result = try await method(hub, repeat each values)
                } catch {
                    throw HubFailure(thrown: error)
                }
                return .value(try JSONValueText(result: result))
            } catch {
                return .failed(error)
            }
        }
    }

    /// A closure without a result; its first parameter is the hub.
    public init<each Parameter: Decodable & Sendable>(
        _ name: String,
        _ method: @escaping @Sendable (H, repeat each Parameter) async throws -> Void
    ) {
        let shape = ParameterShape(repeat (each Parameter).self)
        self.name = name
        self.parameterCount = shape.count
        self.signature = shape.signature(name, returning: "Void")
        self.invoke = { arguments, rules, factory, call in
            do throws(HubFailure) {
                let values = try arguments.read(repeat (each Parameter).self, rules: rules, for: call, shape)
                let hub = try await factory.make(call)
                do {
                    try await method(hub, repeat each values)
                } catch {
                    throw HubFailure(thrown: error)
                }
                return .void
            } catch {
                return .failed(error)
            }
        }
    }
}

extension HubMethod {
    /// The method for callers that meet all of these requirements, besides what the hub and the pipeline ask for.
    public func requiring(_ requirements: Requirement...) -> Self {
        var method = self
        method.requirements += requirements
        return method
    }

    /// The method under another name in the script that is generated for pages, where it would else be its own name with
    /// the first letter in lower case.
    public func inScript(as name: String) -> Self {
        var method = self
        method.scriptName = name
        return method
    }
}

/// How arguments are read: it differs between the generations of clients.
package struct ArgumentRules: Hashable, Sendable {
    package var leniency: JSONLeniency
    /// How deep one argument may be nested.
    package var depthLimit: Int

    /// For core clients: types must match.
    package static let core = Self(leniency: .strict, depthLimit: 64)
    /// For classic clients: numbers and numeric strings stand for each other.
    package static let classic = Self(leniency: .classic, depthLimit: 20)
}

/// How many parameters a method takes from its caller, and of what types.
private struct ParameterShape {
    private var types: [String] = []
    /// Whether there are others, which are made from the call.
    private(set) var hasCallParameters = false

    init<each Parameter>(_ type: repeat (each Parameter).Type) {
        for type in repeat each type {
            if type is any CallParameter.Type {
                self.hasCallParameters = true
            } else {
                self.types.append("\(type)")
            }
        }
    }

    var count: Int { self.types.count }

    func signature(_ name: String, returning result: String) -> String {
        let parameters = self.types.enumerated().map { "p\($0.offset + 1):\($0.element)" }
        return "\(name)(\(parameters.joined(separator: ", "))):\(result)"
    }
}

extension CallArguments {
    fileprivate func read<each Parameter: Decodable>(
        _ type: repeat (each Parameter).Type,
        rules: ArgumentRules,
        for call: HubCall,
        _ shape: ParameterShape
    ) throws(HubFailure) -> (repeat each Parameter) {
        do {
            // Why two ways each: looking at each type costs every call.
            switch self {
            case .json(let list):
                var reader = list.makeReader(leniency: rules.leniency, depthLimit: rules.depthLimit)
                if shape.hasCallParameters { return (repeat try reader.next(each type, for: call)) }
                return (repeat try reader.next(each type))
            case .messagePack(let list):
                var reader = list.makeReader(depthLimit: rules.depthLimit)
                if shape.hasCallParameters { return (repeat try reader.next(each type, for: call)) }
                return (repeat try reader.next(each type))
            }
        } catch {
            throw HubFailure(.argumentMismatch, error.detail)
        }
    }
}

extension ArgumentReading {
    fileprivate mutating func next<Value: Decodable>(
        _ type: Value.Type, for call: HubCall
    ) throws(JSONCodingError) -> Value {
        if let made = type as? any CallParameter.Type, let value = made.init(call) as? Value { return value }
        return try self.next(type)
    }
}

extension JSONValueText {
    fileprivate init(result: some Encodable) throws(HubFailure) {
        do throws(JSONCodingError) {
            try self.init(encoding: result)
        } catch {
            throw HubFailure(.thrown("EncodingError"), "the result cannot be written as JSON: \(error.detail)")
        }
    }
}
