import ApusCore

/// The tables of a profile as text, for a terminal and for the page.
package struct ProfileTables {
  private let report: ProfileReport

  package init(_ report: ProfileReport) { self.report = report }

  /// The three challenges and where the step's time goes.
  package var text: String {
    challenges.map { "\($0.name.padded(right: 13))  \($0.value)\n" }.joined() + "\n" + operations.description
      + "bound: what alone would take longer, the FLOPs at the measured peak or the bytes at the measured bandwidth, "
      + "as if\nnothing were cached between instructions; more than 100 % where it is.\n"
  }

  /// Memory against capacity, arithmetic against peak, communication exposed (S2).
  package var challenges: [(name: String, value: String)] {
    let (memory, arithmetic) = (report.memory, report.arithmetic)
    let measured = memory.measured.map(ProfileReport.Memory.peak)
    let predicted = ProfileReport.Memory.peak(memory.predicted)
    let exposed = report.communication.reduce(0) { $0 + $1.exposedSeconds }
    return [
      (
        "memory",
        "\(ByteCount(memory.plannedBytes)) planned of \(ByteCount(memory.capacityBytes)), high-water mark "
          + "\(ByteCount(memory.highWaterBytes)); in use at most \(ByteCount(predicted)) predicted"
          + (measured.map { ", \(ByteCount($0)) measured" } ?? "")
      ),
      (
        "arithmetic",
        "\(arithmetic.modelUtilization.percent()) of the peak of "
          + "\((arithmetic.peakFLOPsPerSecond / 1e9).formatted(decimals: 1)) GFLOP/s (\(arithmetic.peakOf)) with the model's FLOPs, "
          + "\(arithmetic.programUtilization.percent()) with the program's; every instruction at its own bound: "
          + "\((arithmetic.boundSeconds / arithmetic.stepSeconds).percent()) of the step"
      ),
      (
        "communication",
        report.communication.isEmpty
          ? "none: one rank"
          : "\(Self.milliseconds(exposed)) ms exposed of "
            + "\(Self.milliseconds(report.communication.reduce(0) { $0 + $1.seconds })) ms, "
            + "\(ByteCount(report.communication.reduce(0) { $0 + $1.bytes }))"
      ),
    ]
  }

  /// Per kind of operation and segment, longest first.
  package var operations: TextTable {
    var table = TextTable(Self.columns.map { $0.isText ? .text($0.title) : .number($0.title) })
    for row in rows { table.add(row) }
    return table
  }

  static let columns: [(title: String, isText: Bool)] = [
    ("operation", true), ("segment", true), ("calls", false), ("ms", false), ("of step", false),
    ("GFLOP/s", false), ("GB/s", false), ("bound", true), ("of bound", false), ("ms beyond it", false),
  ]

  var rows: [[String]] {
    report.operations.map { operation in
      [
        operation.operation, operation.segment, "\(operation.count)", Self.milliseconds(operation.seconds),
        operation.share.percent(),
        operation.flops > 0 ? (Double(operation.flops) / operation.seconds / 1e9).formatted(decimals: 1) : "",
        (Double(operation.bytes) / operation.seconds / 1e9).formatted(decimals: 1), operation.bound,
        "\((100 * operation.shareOfBound).formatted(decimals: 0)) %",
        Self.milliseconds(max(0, operation.seconds - operation.boundSeconds)),
      ]
    } + [
      [
        "outside instructions", "", "", Self.milliseconds(outsideSeconds),
        (outsideSeconds / report.arithmetic.stepSeconds).percent(), "", "", "", "", "",
      ],
      [
        "whole step", "", "", Self.milliseconds(report.arithmetic.stepSeconds), "100.0 %", "", "", "",
        (report.arithmetic.boundSeconds / report.arithmetic.stepSeconds).percent(), "",
      ],
    ]
  }

  /// Data, the host's work and the gaps between instructions.
  var outsideSeconds: Double {
    max(0, report.arithmetic.stepSeconds - report.operations.reduce(0) { $0 + $1.seconds })
  }

  static func milliseconds(_ seconds: Double) -> String { (1e3 * seconds).formatted(decimals: 2) }
}
