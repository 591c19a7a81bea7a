// What makes every page handier where scripts run; nothing needs it.
import { localTimes } from "./time.js";

localTimes(document);
