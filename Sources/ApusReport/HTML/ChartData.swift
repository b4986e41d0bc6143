import Foundation

/// Everything that the page's script draws, as JSON.
struct ChartData: Encodable {
  var loss, smoothedLoss, validationLoss, bitsPerByte, learningRate, gradientNorm: ChartPoints
  var tokensPerSecond, utilization: ChartPoints
  var forward, backward, optimizer, dataWait: ChartPoints
  var references: [RunReport.ReferenceLoss]
  var memory: OverStep?

  struct OverStep: Encodable {
    var labels: [String]
    var roles: [Role]
    var capacityBytes: Int?
  }

  struct Role: Encodable {
    var name: String
    var bytes: [Int]
  }

  /// Points of one series at most; a screen has no more columns.
  private static let pointLimit = 1600
  /// Places along a stacked chart at most.
  private static let stackedLimit = 400

  init(_ run: RunReport, _ records: [StepRecord]) {
    func line(_ key: StepRecord.CodingKeys) -> ChartPoints {
      ChartPoints(records, key).keepingExtremes(atMost: Self.pointLimit)
    }
    func layer(_ key: StepRecord.CodingKeys) -> ChartPoints {
      ChartPoints(records, key).averaged(to: Self.stackedLimit)
    }
    loss = line(.loss)
    smoothedLoss = ChartPoints(records, .loss).smoothed(over: Double(records.count) / 50)
      .keepingExtremes(atMost: Self.pointLimit)
    validationLoss = line(.validationLoss)
    bitsPerByte = line(.validationBitsPerByte)
    learningRate = line(.learningRate)
    gradientNorm = line(.gradientNorm)
    tokensPerSecond = line(.tokensPerSecond)
    utilization = line(.modelFLOPsUtilization)
    forward = layer(.forwardSeconds)
    backward = layer(.backwardSeconds)
    optimizer = layer(.optimizerSeconds)
    dataWait = layer(.dataWaitSeconds)
    references = run.referenceLosses.filter { $0.loss.isFinite }
    if let plan = run.memory, !plan.overStep.isEmpty {
      memory = OverStep(
        labels: plan.overStep.map(\.label),
        roles: plan.roles.map { role in
          Role(name: role.role, bytes: plan.overStep.map { $0.bytesByRole[role.role] ?? 0 })
        }, capacityBytes: plan.capacityBytes)
    }
  }

  /// Fit for a `<script>` element.
  var script: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    guard let json = try? encoder.encode(self) else {
      // Only numbers that are not finite fail to encode, and none gets here.
      return "{}"
    }
    return String(decoding: json, as: UTF8.self).escapedForScript
  }
}
