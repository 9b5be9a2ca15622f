import { make, moment, milliseconds, words } from "./format.js";

const MARK = { firing: "▲", pending: "△", resolved: "✓" };

export function showAlerts(place, alerts) {
  const keys = alerts.map((alert) => [alert.rule, alert.subject, alert.state, alert.since].join("|"));
  const signature = keys.join("\n");
  if (place.dataset.signature === signature) {
    // Only what changed may touch the live region, or it would be read out every few seconds.
    return;
  }
  place.dataset.signature = signature;
  if (!alerts.length) {
    place.replaceChildren(make("p", "quiet", "Nothing to report."));
    return;
  }
  const list = make("ul", "alert-list");
  for (const alert of alerts) {
    const mark = make("span", "mark", MARK[alert.state] ?? "•");
    mark.setAttribute("aria-hidden", "true");
    const item = make("li", `alert ${alert.state} ${alert.severity}`, mark,
      make("span", "what", make("strong", "", `${words(alert.state)} (${alert.severity}): ${words(alert.rule)}, ${alert.subject}`),
        make("span", "summary", alert.summary), make("span", "since", `since ${moment(milliseconds(alert.since))}`)));
    list.append(item);
  }
  place.replaceChildren(list);
}
