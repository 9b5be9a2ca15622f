// SPDX-License-Identifier: UNLICENSED
pragma solidity ^0.8.24;

/// @title Keeps the margins that a set of signers publishes, within limits of its own.
/// @notice Anyone may bring an update: the signatures count, not the sender. An update is refused
/// in the order of the checks in `_accept`; the errors have the same names in foremargin's Python
/// verifier. Not audited.
contract MarginVerifier {
    struct MarginUpdate {
        bytes32 marketId;
        uint32 longInitialBps;
        uint32 longMaintenanceBps;
        uint32 shortInitialBps;
        uint32 shortMaintenanceBps;
        uint128 sigmaE18;
        uint128 sigmaLowerE18;
        uint128 sigmaUpperE18;
        uint64 stressE18;
        uint64 liquidityStressE18;
        uint64 liquidityCostE18;
        uint8 regime;
        uint8 status;
        uint32 horizonSec;
        uint64 observationTime;
        uint64 validFrom;
        uint64 validUntil;
        uint64 prevSeq;
        uint64 seq;
        uint64 epoch;
        bytes32 prevDigest;
        bytes32 modelDigest;
        bytes32 evidenceRoot;
    }

    struct MarginBatch {
        bytes32 root;
        uint64 count;
        uint64 epoch;
        uint64 batchSeq;
        uint64 validFrom;
        uint64 validUntil;
    }

    /// Largest moves per whole period between two updates, basis points of notional.
    struct RegimeLimit {
        uint32 riseBps;
        uint32 fallBps;
        uint32 periodSec;
    }

    /// `regimes` by the update's regime: unknown, calm, elevated, stressed.
    struct Limits {
        uint32 floorBps;
        uint32 capBps;
        uint32 maxAgeSec;
        uint32 addOnPerHourBps;
        uint32 largestAddOnBps;
        bool gaps;
        RegimeLimit[4] regimes;
    }

    /// What was accepted last, three words; and whether the guardian has stopped the market.
    struct Held {
        bytes32 digest;
        uint64 seq;
        uint64 epoch;
        uint64 validFrom;
        uint64 validUntil;
        uint64 observationTime;
        uint32 longInitialBps;
        uint32 longMaintenanceBps;
        uint32 shortInitialBps;
        uint32 shortMaintenanceBps;
        uint8 regime;
        uint8 status;
        bool paused;
    }

    bytes32 public constant UPDATE_TYPEHASH = keccak256(
        "MarginUpdate(bytes32 marketId,uint32 longInitialBps,uint32 longMaintenanceBps,uint32 shortInitialBps,uint32 shortMaintenanceBps,uint128 sigmaE18,uint128 sigmaLowerE18,uint128 sigmaUpperE18,uint64 stressE18,uint64 liquidityStressE18,uint64 liquidityCostE18,uint8 regime,uint8 status,uint32 horizonSec,uint64 observationTime,uint64 validFrom,uint64 validUntil,uint64 prevSeq,uint64 seq,uint64 epoch,bytes32 prevDigest,bytes32 modelDigest,bytes32 evidenceRoot)"
    );
    bytes32 public constant BATCH_TYPEHASH = keccak256(
        "MarginBatch(bytes32 root,uint64 count,uint64 epoch,uint64 batchSeq,uint64 validFrom,uint64 validUntil)"
    );
    bytes32 private constant DOMAIN_TYPEHASH = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    uint256 private constant HALF_ORDER =
        0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0;
    uint256 private constant WHOLE_BPS = 10_000;
    bytes32 private constant ALL = bytes32(0);

    error MalformedSignature();
    error HighS();
    error UnknownSigner();
    error SignersNotAscending();
    error TooFewSigners();
    error BadProof();
    error UnknownMarket();
    error BadTimes();
    error NotYetValid();
    error Expired();
    error TooOld();
    error WrongEpoch();
    error Replayed();
    error BrokenChain();
    error Gap();
    error TimeReversed();
    error OutOfBounds();
    error StepTooLarge();
    error Inconsistent();
    error Paused();
    error NotAllowed();
    error BadSettings();

    event Accepted(bytes32 indexed marketId, uint64 indexed epoch, uint64 seq, bytes32 digest);
    event Skipped(bytes32 indexed marketId, uint64 indexed epoch, uint64 fromSeq, uint64 toSeq);
    event Rotated(uint64 indexed epoch, address[] signers, uint16 threshold);
    event LimitsSet(bytes32 indexed marketId);
    event PauseSet(bytes32 indexed marketId, bool paused);
    event GuardianSet(address guardian);
    event OwnershipOffered(address to);
    event OwnershipTaken(address by);

    address public owner;
    address public offeredTo;
    // One word, which every update reads.
    address public guardian;
    uint64 public epoch;
    uint16 public threshold;
    bool public allPaused;
    /// The epoch that an address signs in; a rotation makes all others stale at once.
    mapping(address => uint64) public signerEpoch;
    mapping(bytes32 => Limits) private _limits;
    mapping(bytes32 => Held) private _held;

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotAllowed();
        _;
    }

    constructor(address[] memory signers, uint16 threshold_, address guardian_) {
        owner = msg.sender;
        guardian = guardian_;
        _rotate(signers, threshold_);
    }

    // ---------------------------------------------------------------- updates

    /// @notice Take one update.
    /// @param signatures 65 bytes each (r, s, v), by rising address of their signers.
    function accept(MarginUpdate calldata update, bytes[] calldata signatures) external {
        bytes32 digest = updateDigest(update);
        _checkSigners(digest, signatures);
        _accept(update, digest);
    }

    /// @notice Take updates out of a batch, all of them or none.
    /// @param proofs for each update the partners on its way to the root.
    function acceptFromBatch(
        MarginBatch calldata batch,
        bytes[] calldata signatures,
        MarginUpdate[] calldata updates,
        bytes32[][] calldata proofs
    ) external {
        if (updates.length != proofs.length) revert BadProof();
        _checkSigners(batchDigest(batch), signatures);
        if (block.timestamp < batch.validFrom) revert NotYetValid();
        if (block.timestamp >= batch.validUntil) revert Expired();
        if (batch.epoch != epoch) revert WrongEpoch();
        for (uint256 k = 0; k < updates.length; k++) {
            bytes32 digest = updateDigest(updates[k]);
            if (_rootOf(digest, proofs[k]) != batch.root) revert BadProof();
            _accept(updates[k], digest);
        }
    }

    /// @notice What is to be charged, basis points of notional.
    /// @return bps long initial and maintenance, short initial and maintenance margin. Once they
    /// are not renewed they grow with time and are never less than the last; the cap where nothing
    /// was ever accepted.
    /// @return stale whether they were not renewed.
    function margins(bytes32 marketId) external view returns (uint32[4] memory bps, bool stale) {
        Limits storage limits = _limits[marketId];
        if (limits.capBps == 0) revert UnknownMarket();
        Held storage held = _held[marketId];
        if (held.seq == 0) {
            return ([limits.capBps, limits.capBps, limits.capBps, limits.capBps], true);
        }
        bps = _marginsOf(held);
        uint256 end = uint256(held.observationTime) + limits.maxAgeSec + 1;
        if (held.validUntil < end) end = held.validUntil;
        if (block.timestamp < end) return (bps, false);
        uint256 addOn = (uint256(limits.addOnPerHourBps) * (block.timestamp - end) + 3599) / 3600;
        if (addOn > limits.largestAddOnBps) addOn = limits.largestAddOnBps;
        for (uint256 k = 0; k < 4; k++) {
            uint256 raised = (bps[k] * (WHOLE_BPS + addOn) + WHOLE_BPS - 1) / WHOLE_BPS;
            if (raised > limits.capBps) raised = limits.capBps;
            if (raised > bps[k]) bps[k] = uint32(raised);
        }
        return (bps, true);
    }

    function updateDigest(MarginUpdate calldata update) public view returns (bytes32) {
        return _typed(keccak256(abi.encode(UPDATE_TYPEHASH, update)));
    }

    function batchDigest(MarginBatch calldata batch) public view returns (bytes32) {
        return _typed(keccak256(abi.encode(BATCH_TYPEHASH, batch)));
    }

    /// Computed anew each time, since a chain that splits changes its number.
    function domainSeparator() public view returns (bytes32) {
        return keccak256(
            abi.encode(
                DOMAIN_TYPEHASH, keccak256("foremargin"), keccak256("1"), block.chainid, address(this)
            )
        );
    }

    function heldOf(bytes32 marketId) external view returns (Held memory) {
        return _held[marketId];
    }

    function limitsOf(bytes32 marketId) external view returns (Limits memory) {
        return _limits[marketId];
    }

    // ----------------------------------------------------------- owner, guardian

    /// @notice Replace the signers and begin a new epoch: all that was signed before is void.
    function rotate(address[] calldata signers, uint16 threshold_) external onlyOwner {
        _rotate(signers, threshold_);
    }

    function setLimits(bytes32 marketId, Limits calldata limits) external onlyOwner {
        bool ordered = 1 <= limits.floorBps && limits.floorBps <= limits.capBps;
        if (marketId == ALL || !ordered) revert BadSettings();
        for (uint256 k = 0; k < 4; k++) {
            if (limits.regimes[k].periodSec == 0) revert BadSettings();
        }
        _limits[marketId] = limits;
        emit LimitsSet(marketId);
    }

    /// @notice Stop a market, or all with zero. The guardian may stop; only the owner starts again.
    function pause(bytes32 marketId) external {
        if (msg.sender != guardian && msg.sender != owner) revert NotAllowed();
        _setPaused(marketId, true);
    }

    function resume(bytes32 marketId) external onlyOwner {
        _setPaused(marketId, false);
    }

    function setGuardian(address guardian_) external onlyOwner {
        guardian = guardian_;
        emit GuardianSet(guardian_);
    }

    function offerOwnership(address to) external onlyOwner {
        offeredTo = to;
        emit OwnershipOffered(to);
    }

    function takeOwnership() external {
        if (msg.sender != offeredTo) revert NotAllowed();
        owner = msg.sender;
        offeredTo = address(0);
        emit OwnershipTaken(msg.sender);
    }

    // ------------------------------------------------------------------ checks

    /// For contracts that inherit: runs after an update was accepted.
    function _afterAccept(MarginUpdate calldata update) internal virtual {}

    function _accept(MarginUpdate calldata update, bytes32 digest) private {
        Limits storage limits = _limits[update.marketId];
        if (limits.capBps == 0) revert UnknownMarket();
        Held storage held = _held[update.marketId];
        _checkTimes(update, limits);
        _checkSequence(update, held, limits);
        _checkBounds(update, limits);
        if (held.seq != 0) _checkSteps(update, held, limits);
        _checkCoupling(update);
        if (allPaused || held.paused) revert Paused();
        _held[update.marketId] = Held({
            digest: digest,
            seq: update.seq,
            epoch: update.epoch,
            validFrom: update.validFrom,
            validUntil: update.validUntil,
            observationTime: update.observationTime,
            longInitialBps: update.longInitialBps,
            longMaintenanceBps: update.longMaintenanceBps,
            shortInitialBps: update.shortInitialBps,
            shortMaintenanceBps: update.shortMaintenanceBps,
            regime: update.regime,
            status: update.status,
            paused: false
        });
        emit Accepted(update.marketId, update.epoch, update.seq, digest);
        _afterAccept(update);
    }

    function _checkSigners(bytes32 digest, bytes[] calldata signatures) private view {
        address last = address(0);
        for (uint256 k = 0; k < signatures.length; k++) {
            address signer = _recover(digest, signatures[k]);
            if (signerEpoch[signer] != epoch) revert UnknownSigner();
            if (signer <= last) revert SignersNotAscending();
            last = signer;
        }
        if (signatures.length < threshold) revert TooFewSigners();
    }

    function _recover(bytes32 digest, bytes calldata signature) private pure returns (address) {
        if (signature.length != 65) revert MalformedSignature();
        uint8 v = uint8(signature[64]);
        if (v != 27 && v != 28) revert MalformedSignature();
        bytes32 s = bytes32(signature[32:64]);
        if (uint256(s) > HALF_ORDER) revert HighS();
        address signer = ecrecover(digest, v, bytes32(signature[0:32]), s);
        if (signer == address(0)) revert MalformedSignature();
        return signer;
    }

    function _checkTimes(MarginUpdate calldata update, Limits storage limits) private view {
        bool ordered =
            update.observationTime <= update.validFrom && update.validFrom < update.validUntil;
        if (!ordered) revert BadTimes();
        if (block.timestamp < update.validFrom) revert NotYetValid();
        if (block.timestamp >= update.validUntil) revert Expired();
        if (block.timestamp - update.observationTime > limits.maxAgeSec) revert TooOld();
    }

    function _checkSequence(
        MarginUpdate calldata update,
        Held storage held,
        Limits storage limits
    ) private {
        if (update.epoch != epoch) revert WrongEpoch();
        bool begun = held.epoch == update.epoch;
        uint64 last = begun ? held.seq : 0;
        if (update.seq <= last) revert Replayed();
        bool between = last <= update.prevSeq && update.prevSeq < update.seq;
        if (!between) revert BrokenChain();
        if (update.prevSeq == last) {
            if (update.prevDigest != (begun ? held.digest : bytes32(0))) revert BrokenChain();
        } else {
            if (!limits.gaps) revert Gap();
            emit Skipped(update.marketId, update.epoch, last + 1, update.prevSeq);
        }
        if (update.validFrom < held.validFrom) revert TimeReversed();
    }

    function _checkBounds(MarginUpdate calldata update, Limits storage limits) private view {
        (uint32 floorBps, uint32 capBps) = (limits.floorBps, limits.capBps);
        if (update.longMaintenanceBps < floorBps || update.shortMaintenanceBps < floorBps) {
            revert OutOfBounds();
        }
        if (update.longInitialBps > capBps || update.shortInitialBps > capBps) {
            revert OutOfBounds();
        }
        if (update.regime > 3 || update.status > 3) revert OutOfBounds();
    }

    function _checkSteps(
        MarginUpdate calldata update,
        Held storage held,
        Limits storage limits
    ) private view {
        RegimeLimit storage limit = limits.regimes[update.regime];
        uint256 periods = (update.validFrom - held.validFrom) / limit.periodSec;
        uint256 rise = limit.riseBps * periods;
        uint256 fall = limit.fallBps * periods;
        uint32[4] memory before = _marginsOf(held);
        uint32[4] memory after_ = [
            update.longInitialBps,
            update.longMaintenanceBps,
            update.shortInitialBps,
            update.shortMaintenanceBps
        ];
        for (uint256 k = 0; k < 4; k++) {
            (uint256 a, uint256 b) = (before[k], after_[k]);
            if (b > a ? b - a > rise : a - b > fall) revert StepTooLarge();
        }
    }

    function _checkCoupling(MarginUpdate calldata update) private pure {
        bool ordered = update.longMaintenanceBps <= update.longInitialBps
            && update.shortMaintenanceBps <= update.shortInitialBps
            && update.sigmaLowerE18 <= update.sigmaE18 && update.sigmaE18 <= update.sigmaUpperE18;
        if (!ordered) revert Inconsistent();
    }

    function _rootOf(bytes32 digest, bytes32[] calldata partners) private pure returns (bytes32) {
        bytes32 node = keccak256(abi.encodePacked(bytes1(0x00), digest));
        for (uint256 k = 0; k < partners.length; k++) {
            bytes32 other = partners[k];
            node = node < other
                ? keccak256(abi.encodePacked(bytes1(0x01), node, other))
                : keccak256(abi.encodePacked(bytes1(0x01), other, node));
        }
        return node;
    }

    function _marginsOf(Held storage held) private view returns (uint32[4] memory) {
        return [
            held.longInitialBps,
            held.longMaintenanceBps,
            held.shortInitialBps,
            held.shortMaintenanceBps
        ];
    }

    function _setPaused(bytes32 marketId, bool stop) private {
        if (marketId == ALL) allPaused = stop;
        else _held[marketId].paused = stop;
        emit PauseSet(marketId, stop);
    }

    function _typed(bytes32 structHash) private view returns (bytes32) {
        return keccak256(abi.encodePacked(hex"1901", domainSeparator(), structHash));
    }

    function _rotate(address[] memory signers, uint16 threshold_) private {
        if (threshold_ == 0 || threshold_ > signers.length) revert BadSettings();
        epoch += 1;
        threshold = threshold_;
        for (uint256 k = 0; k < signers.length; k++) {
            bool usable = signers[k] != address(0) && signerEpoch[signers[k]] != epoch;
            if (!usable) revert BadSettings();
            signerEpoch[signers[k]] = epoch;
        }
        emit Rotated(epoch, signers, threshold_);
    }
}
