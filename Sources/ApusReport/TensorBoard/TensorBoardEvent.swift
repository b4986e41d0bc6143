/// An entry of a TensorBoard event file.
///
/// Field numbers from TensorFlow's `event.proto` (Event, SessionLog) and `summary.proto` (Summary).
package enum TensorBoardEvent {
  /// The first entry of every file: which format follows.
  case fileVersion
  /// What a resumed run writes: readers forget entries of earlier files from this step on.
  case restart(step: Int)
  /// Numbers of one step, by their tags.
  case scalars(step: Int, [(tag: String, value: Double)])

  /// - Parameter wallTime: seconds since 1970.
  package func encoded(wallTime: Double) -> [UInt8] {
    var event = ProtobufMessage()
    event.add(field: 1, double: wallTime)
    switch self {
    case .fileVersion:
      event.add(field: 3, string: "brain.Event:2")
    case .restart(let step):
      var sessionLog = ProtobufMessage()
      sessionLog.add(field: 1, integer: 1)  // START
      event.add(field: 2, integer: step)
      event.add(field: 7, message: sessionLog)
    case .scalars(let step, let scalars):
      var summary = ProtobufMessage()
      for (tag, value) in scalars {
        var entry = ProtobufMessage()
        entry.add(field: 1, string: tag)
        entry.add(field: 2, float: Float(value))
        summary.add(field: 1, message: entry)
      }
      event.add(field: 2, integer: step)
      event.add(field: 5, message: summary)
    }
    return event.bytes
  }
}
