package import Foundation

/// What a program reads from its standard input.
package enum Keyboard {
    /// Writes all of it and closes.
    ///
    /// Why an error is none: a program that has ended without reading says with its status and its output why.
    package static func type(_ text: String, into pipe: Pipe) {
        // Why for the whole process: such a write is answered by a signal, and by default that ends us.
        signal(SIGPIPE, SIG_IGN)
        try? pipe.fileHandleForWriting.write(contentsOf: Data(text.utf8))
        try? pipe.fileHandleForWriting.close()
    }
}
