import CLoad
import Glibc

/// A crowd of subscribers that measures a server in another process. See the README beside the package.
@main
struct Subscribers {
    static func main() {
        do {
            let arguments = try Arguments(CommandLine.arguments.dropFirst())
            switch arguments.command {
            case "fanout": try FanOutRun(arguments).measure()
            case "idle": try IdleRun(arguments).measure()
            case "transport": try TransportRun(arguments).measure()
            default: throw LoadError("the first argument is fanout, idle or transport, not \(arguments.command)")
            }
        } catch {
            let line = "subscribers: \(error)\n"
            _ = write(STDERR_FILENO, line, line.utf8.count)
            exit(1)
        }
    }
}

struct LoadError: Error, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }

    /// Turns a negative errno of the C side into an error that says what was being done.
    static func check<Result: FixedWidthInteger>(_ result: Result, _ doing: String) throws -> Result {
        guard result < 0 else { return result }
        throw LoadError("\(doing): \(String(cString: strerror(Int32(result.magnitude))))")
    }
}

/// `command --name value --name value …`
struct Arguments {
    let command: String
    private var values: [String: String] = [:]

    init(_ words: some Sequence<String>) throws {
        var words = words.makeIterator()
        self.command = words.next() ?? ""
        while let name = words.next() {
            guard name.hasPrefix("--"), let value = words.next() else {
                throw LoadError("expected --name value, found \(name)")
            }
            self.values[String(name.dropFirst(2))] = value
        }
    }

    func text(_ name: String) throws -> String {
        guard let value = self.values[name] else { throw LoadError("--\(name) is missing") }
        return value
    }

    func number(_ name: String, default fallback: Int? = nil) throws -> Int {
        guard let text = self.values[name] else {
            guard let fallback else { throw LoadError("--\(name) is missing") }
            return fallback
        }
        guard let value = Int(text) else { throw LoadError("--\(name) is a number, not \(text)") }
        return value
    }
}
