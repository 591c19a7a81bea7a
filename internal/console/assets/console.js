// What makes every page handier where scripts run; nothing needs it.
import { localTimes } from "./time.js";
import { copyButtons } from "./copy.js";
import { instantSearch } from "./search.js";
import { follow } from "./follow.js";
import { newCertificate } from "./new.js";

follow(document); // first: it remembers the page as it came
localTimes(document);
copyButtons(document);
instantSearch(document);
newCertificate(document);
document.documentElement.dataset.ready = ""; // a browser that is driven by a program waits for it
