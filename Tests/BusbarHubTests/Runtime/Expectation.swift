import Testing

/// `#expect` for a step of a machine: the macro can't call what mutates.
func expect(_ holds: Bool, _ sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(holds, sourceLocation: sourceLocation)
}
