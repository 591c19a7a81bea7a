// Times are in UTC as they come; here they are put into the reader's zone and way of writing. The title keeps what came.

const language = document.documentElement.lang;
const moment = new Intl.DateTimeFormat(language, { year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(language, { year: "numeric", month: "short", day: "numeric" });

export function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const at = new Date(element.dateTime);
    if (element.title || Number.isNaN(at.getTime())) continue;
    element.title = element.dateTime;
    element.textContent = ("day" in element.dataset ? day : moment).format(at);
  }
}
