/// Stops the program on a mistake of ours, with a message that survives optimised builds.
///
/// `precondition` drops its message under `-O`; this prints it. For mistakes that a user or a machine
/// can make, throw a typed error instead.
@inline(__always)
package func require(
  _ condition: Bool, _ message: @autoclosure () -> String,
  file: StaticString = #fileID, line: UInt = #line
) {
  if !condition { stop(message(), file, line) }
}

@inline(never)
private func stop(_ message: String, _ file: StaticString, _ line: UInt) -> Never {
  fatalError(message, file: file, line: line)
}
