import ApusForesight
import ApusReport

extension Timeline {
  /// A pipeline's timetable, a lane a device; passes that are joined share a bar.
  init(_ timetable: Timetable, of orders: PipelineOrders, title: String, unit: Unit) {
    var kinds = [PipelineAction.Work.forward, .backward].map(\.words)
    if timetable.entries.joined().contains(where: { $0.action.work == .backwardWeight }) {
      kinds += [PipelineAction.Work.backwardInput, .backwardWeight].map(\.words)
    }
    let joined = "forward and backward at once"
    if timetable.entries.joined().contains(where: \.action.joinsNext) { kinds.append(joined) }
    let lanes = timetable.entries.enumerated().map { device, entries in
      var bars: [Bar] = []
      var isSecondOfPair = false
      for entry in entries {
        let action = entry.action
        let label = "\(action.work.letter)\(action.microbatch)"
        let stage = orders.stage(device: device, chunk: action.chunk)
        let detail = "\(action.work.words) of micro-batch \(action.microbatch) through stage \(stage)"
        if isSecondOfPair {
          bars[bars.count - 1].label += label
          bars[bars.count - 1].detail += ", " + detail
          bars[bars.count - 1].kind = kinds.count - 1
        } else {
          bars.append(
            Bar(
              start: entry.start, end: entry.end, kind: kinds.firstIndex(of: action.work.words) ?? 0,
              label: label, detail: detail))
        }
        isSecondOfPair = action.joinsNext
      }
      return Lane(group: "device \(device)", bars: bars)
    }
    self.init(title: title, unit: unit, kinds: kinds, lanes: lanes)
  }
}

extension PipelineAction.Work {
  fileprivate var words: String {
    switch self {
    case .forward: "forward"
    case .backward: "backward"
    case .backwardInput: "backward for inputs"
    case .backwardWeight: "backward for weights"
    }
  }
}
