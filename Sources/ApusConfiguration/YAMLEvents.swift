import CYAML

/// What libyaml reports while it reads a document, copied into Swift values.
struct YAMLEvent {
  enum Kind {
    case documentStart, documentEnd, listStart, listEnd, mappingStart, mappingEnd
    case scalar(String, plain: Bool)
    case alias(String)
  }

  var kind: Kind
  /// Counted from 1.
  var line: Int
  /// `&name` or `!tag` on a value, which configurations do not use.
  var decoration: String?
}

/// A document that libyaml cannot read.
struct YAMLSyntaxError: Error {
  var line: Int
  var message: String
}

/// No configuration needs more; readers of the events recurse.
private let deepestNesting = 32

/// Runs libyaml's event parser over the whole text.
func yamlEvents(of text: String) throws(YAMLSyntaxError) -> [YAMLEvent] {
  let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
  defer { parser.deallocate() }
  guard yaml_parser_initialize(parser) == 1 else {
    throw YAMLSyntaxError(line: 1, message: "libyaml has no memory for its parser")
  }
  defer { yaml_parser_delete(parser) }

  let bytes = Array(text.utf8)
  let result = bytes.withUnsafeBufferPointer { buffer -> Result<[YAMLEvent], YAMLSyntaxError> in
    yaml_parser_set_input_string(parser, buffer.baseAddress, buffer.count)
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
    var events: [YAMLEvent] = []
    var depth = 0
    while true {
      var event = yaml_event_t()
      guard yaml_parser_parse(parser, &event) == 1 else {
        return .failure(syntaxError(of: parser, in: bytes))
      }
      defer { yaml_event_delete(&event) }
      if event.type == YAML_STREAM_END_EVENT { return .success(events) }
      guard let translated = translate(event) else { continue }
      switch translated.kind {
      case .listStart, .mappingStart: depth += 1
      case .listEnd, .mappingEnd: depth -= 1
      default: break
      }
      guard depth <= deepestNesting else {
        return .failure(
          YAMLSyntaxError(
            line: Int(event.start_mark.line) + 1,
            message: "lists and mappings are nested deeper than \(deepestNesting)"))
      }
      events.append(translated)
    }
  }
  return try result.get()
}

private func translate(_ event: yaml_event_t) -> YAMLEvent? {
  let line = Int(event.start_mark.line) + 1
  switch event.type {
  case YAML_DOCUMENT_START_EVENT: return YAMLEvent(kind: .documentStart, line: line)
  case YAML_DOCUMENT_END_EVENT: return YAMLEvent(kind: .documentEnd, line: line)
  case YAML_SEQUENCE_END_EVENT: return YAMLEvent(kind: .listEnd, line: line)
  case YAML_MAPPING_END_EVENT: return YAMLEvent(kind: .mappingEnd, line: line)
  case YAML_SEQUENCE_START_EVENT:
    let start = event.data.sequence_start
    return YAMLEvent(kind: .listStart, line: line, decoration: decoration(start.anchor, start.tag))
  case YAML_MAPPING_START_EVENT:
    let start = event.data.mapping_start
    return YAMLEvent(kind: .mappingStart, line: line, decoration: decoration(start.anchor, start.tag))
  case YAML_SCALAR_EVENT:
    let scalar = event.data.scalar
    let text = String(decoding: UnsafeBufferPointer(start: scalar.value, count: scalar.length), as: UTF8.self)
    return YAMLEvent(
      kind: .scalar(text, plain: scalar.style == YAML_PLAIN_SCALAR_STYLE), line: line,
      decoration: decoration(scalar.anchor, scalar.tag))
  case YAML_ALIAS_EVENT:
    return YAMLEvent(kind: .alias(event.data.alias.anchor.map { String(cString: $0) } ?? ""), line: line)
  default:
    return nil
  }
}

private func decoration(
  _ anchor: UnsafeMutablePointer<yaml_char_t>?, _ tag: UnsafeMutablePointer<yaml_char_t>?
) -> String? {
  anchor.map { "anchor &" + String(cString: $0) } ?? tag.map { "tag " + String(cString: $0) }
}

private func syntaxError(of parser: UnsafeMutablePointer<yaml_parser_t>, in bytes: [UInt8]) -> YAMLSyntaxError
{
  var message = parser.pointee.problem.map { String(cString: $0) } ?? "unknown error"
  if let context = parser.pointee.context { message += " " + String(cString: context) }
  // Errors of the character decoder carry an offset in bytes, the others a mark.
  let isDecoding = parser.pointee.error == YAML_READER_ERROR
  let line =
    isDecoding
    ? bytes.prefix(parser.pointee.problem_offset).count { $0 == 10 } : Int(parser.pointee.problem_mark.line)
  return YAMLSyntaxError(line: line + 1, message: message)
}
