extension Task where Success == Never, Failure == Never {
    /// Gives others their turn, within a wait for what they do. Throws once the test's time is up: a wait in vain ends with its
    /// test.
    package static func turn() async throws {
        try Task.checkCancellation()
        await Task.yield()
    }
}
